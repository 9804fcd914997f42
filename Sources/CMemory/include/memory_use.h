#ifndef MEMORY_USE_H
#define MEMORY_USE_H

// Gives back the pages of the table by which the dynamic linker put addresses into this program before its first line
// ran. Nothing reads it any more, and it counts as resident: 1.5 MB in a release build, which has all its Swift
// libraries in it. Where there is no such table, nothing happens.
void give_back_relocations(void);

// Gives back the whole pages that were freed and lie between others that are in use. The C library keeps them, in an arena
// for each thread at a time: half a megabyte more whenever the pool has one thread more than ever before.
void give_back_freed(void);

#endif
