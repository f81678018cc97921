/* Random and damaged JSON through the scan of cds_hooks/call/protocol/_members.c, for as many seconds as the first argument
 * says. Each text stands at the very end of its own memory, so that the address sanitizer sees a read beyond it:
 * cc -g -O1 -fsanitize=address,undefined -DWITHOUT_PYTHON -I cds_hooks/call/protocol fuzz_members.c (test_members.py).
 */
#include "_members.c"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t state;

static uint32_t draw(uint32_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static const char *const PIECES[] = {
    "{", "}", "[", "]", ",", ":", "\"", "\\", "\"a\":", "\"b\":1,", "\"a\":{", "\"id\" :", "\"\\u0061\":", "null", "1.5e3",
    "\"\"", "\"\":", "\n", "\t", " ", "[[[[[[[[", "{\"x\":{\"x\":{\"x\":", "\"\\\\\":", "\xff", "\xc3\xa4",
};

static size_t write_text(unsigned char *text, size_t most) {
    size_t length = 0;
    uint32_t pieces = draw(draw(8) ? 40 : 4000);
    for (uint32_t i = 0; i < pieces; i++) {
        char name[16];
        const char *piece = PIECES[draw(sizeof PIECES / sizeof *PIECES)];
        if (draw(4) == 0) {
            snprintf(name, sizeof name, "\"n%u\":1,", draw(100));
            piece = name;
        }
        size_t size = strlen(piece);
        if (length + size > most)
            break;
        memcpy(text + length, piece, size);
        length += size;
    }
    for (uint32_t i = draw(4); i > 0 && length; i--)
        text[draw((uint32_t)length)] = (unsigned char)draw(256);
    return length;
}

int main(int count, char **arguments) {
    time_t end = time(NULL) + (count > 1 ? atol(arguments[1]) : 10);
    unsigned char *draft = malloc(1 << 17);
    unsigned long texts = 0, unique = 0;
    state = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    while (time(NULL) < end)
        for (int i = 0; i < 1000; i++, texts++) {
            size_t length = write_text(draft, 1 << 17);
            unsigned char *text = malloc(length ? length : 1);
            memcpy(text, draft, length);
            unique += (unsigned long)has_unique_members(text, text + length);
            free(text);
        }
    free(draft);
    printf("%lu texts, %lu of them cleared\n", texts, unique);
    return 0;
}
