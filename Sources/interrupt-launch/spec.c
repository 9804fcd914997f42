#include "spec.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "launch.h"

// Reads `count` strings from `*text` on, and a NULL. Returns NULL when there are fewer.
static char **strings(const char **text, const char *end, uint32_t count) {
    char **list = calloc((size_t)count + 1, sizeof *list);
    for (uint32_t i = 0; list && i < count; i++) {
        if (*text >= end) {
            free(list);
            return NULL;
        }
        list[i] = (char *)*text;
        *text += strlen(*text) + 1;
    }
    return list;
}

void spec_close(struct spec *spec) {
    free(spec->arguments);
    free(spec->variables);
    free(spec->settings);
    if (spec->memory) munmap(spec->memory, spec->size);
}

static bool spec_map(struct spec *spec, int file) {
    struct stat status;
    if (fstat(file, &status) != 0) return false;
    void *memory = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (memory == MAP_FAILED) return false;
    spec->memory = memory;
    spec->size = (size_t)status.st_size;
    return true;
}

bool spec_open(struct spec *spec, const char *text, size_t size, int file) {
    *spec = (struct spec){0};
    if (file >= 0) {
        if (!spec_map(spec, file)) return false;
        text = spec->memory;
        size = spec->size;
    }
    struct launch_spec head;
    if (size <= sizeof head) return false;
    memcpy(&head, text, sizeof head);
    const char *end = text + size;
    text += sizeof head;
    if (head.version != LAUNCH_VERSION || end[-1] != 0) return false;
    if (head.argument_count > size || head.variable_count > size || head.setting_count > size) return false;
    char **first = strings(&text, end, 3);
    if (!first) return false;
    spec->program = first[0];
    spec->directory = first[1];
    spec->leaf = first[2];
    free(first);
    spec->arguments = strings(&text, end, head.argument_count);
    spec->variables = spec->arguments ? strings(&text, end, head.variable_count) : NULL;
    spec->settings = spec->variables ? strings(&text, end, 2 * head.setting_count) : NULL;
    spec->setting_count = head.setting_count;
    spec->fence = head.fence;
    return spec->settings != NULL && head.argument_count > 0 && spec->leaf[0] && spec->leaf[0] != '.'
        && !strchr(spec->leaf, '/') && strlen(spec->leaf) < SPEC_LONGEST_LEAF;
}
