// The parser alone: it turns text into events. libyaml 0.2 has every symbol that is used here.
#include <yaml.h>
