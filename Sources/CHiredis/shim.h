// The codec alone: the reader that parses replies and the formatter that writes commands.
// hiredis 0.14 (Debian 12) and 1.x both have every symbol that is used here.
#include <hiredis/hiredis.h>
