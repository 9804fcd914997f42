#include "memory_use.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

void give_back_relocations(void) {
    uintptr_t start = 0, size = 0;
    for (const ElfW(Dyn) *entry = _DYNAMIC; entry->d_tag != DT_NULL; entry++) {
        // The C library has put the true address in its place; where it does not, nothing is found below.
        if (entry->d_tag == DT_RELA) start = entry->d_un.d_ptr;
        if (entry->d_tag == DT_RELASZ) size = entry->d_un.d_val;
    }
    // The whole pages of it. They are unchanged parts of the program's file: who reads one after all has it again.
    uintptr_t page = sysconf(_SC_PAGESIZE);
    uintptr_t first = (start + page - 1) / page * page, end = (start + size) / page * page;
    if (first < end) madvise((void *)first, end - first, MADV_DONTNEED);
}

void share_arena(void) { mallopt(M_ARENA_MAX, 1); }

void give_back_freed(void) { malloc_trim(0); }
