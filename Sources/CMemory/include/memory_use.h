#ifndef MEMORY_USE_H
#define MEMORY_USE_H

// Gives back the pages of the table by which the dynamic linker put addresses into this program before its first line
// ran. Nothing reads it any more, and it counts as resident: 1.5 MB in a release build, which has all its Swift
// libraries in it. Where there is no such table, nothing happens.
void give_back_relocations(void);

#endif
