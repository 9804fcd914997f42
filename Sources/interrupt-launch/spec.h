// What the worker says is to run.
#ifndef SPEC_H
#define SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SPEC_LONGEST_LEAF = 64 };  // with its NUL

// All but the lists points into the text.
struct spec {
    const char *program, *directory, *leaf;
    char **arguments, **variables, **settings;
    uint32_t setting_count;
    uint64_t fence;
    void *memory;  // the file that it came in, if it did
    size_t size;
};

// Reads a packet, or what `file` holds unless that is -1. Returns false when it makes no sense; to be closed in any case.
bool spec_open(struct spec *spec, const char *text, size_t size, int file);

void spec_close(struct spec *spec);

#endif
