#ifndef MEMORY_USE_H
#define MEMORY_USE_H

// Gives back the pages of the table by which the dynamic linker put addresses into this program before its first line
// ran. Nothing reads it any more, and it counts as resident: 1.5 MB in a release build, which has all its Swift
// libraries in it. Where there is no such table, nothing happens.
void give_back_relocations(void);

// Has all threads share one arena of the C library, which else makes one for every thread that is there at a time: the
// pool's each kept half a megabyte of what they once needed. To be called before there are other threads.
void share_arena(void);

// Gives back the whole pages that were freed and lie between others that are in use.
void give_back_freed(void);

#endif
