/* Looks through JSON text for an object in which a member stands twice: one pass, no allocation, no read beyond the
 * buffer. It only clears text: what it does not clear (a name with an escape, more than MOST_NAMES names in an object,
 * more than MOST_LEVELS levels, text that is no JSON) is looked through again in Python, by cds_hooks/call/protocol/body.py.
 *
 * It is not a validator: of numbers and literals it checks nothing, because every text is decoded afterwards.
 */
#include <stdint.h>
#include <string.h>

enum {
    MOST_LEVELS = 256,
    MOST_NAMES = 64,  /* in one object: names are compared pair by pair */
    MOST_OPEN = 2048, /* in all objects that are open at the same time */
    LONG_TEXT = 1 << 18, /* from here on other threads run meanwhile */
};

typedef struct {
    const unsigned char *start;
    uint32_t length;
    uint32_t key; /* the first and last characters: names that differ mostly differ here */
} Name;

static uint32_t name_key(const unsigned char *start, size_t length) {
    uint32_t key = (uint32_t)length;
    for (size_t i = 0; i < length && i < 3; i++)
        key = (key << 8) ^ start[i];
    return length ? key ^ ((uint32_t)start[length - 1] << 5) ^ ((uint32_t)start[length / 2] << 13) : key;
}

static int is_blank(unsigned char sign) {
    return sign == ' ' || sign == '\n' || sign == '\t' || sign == '\r';
}

/* The closing quote of the string that begins at `at`, or NULL; `*has_escape` is set where a backslash stands in it. */
static const unsigned char *string_end(const unsigned char *at, const unsigned char *end, int *has_escape) {
    for (; at < end; at++) {
        if (*at == '"')
            return at;
        if (*at == '\\') {
            *has_escape = 1;
            if (++at == end)
                return NULL;
        }
    }
    return NULL;
}

/* 1 where no member of any object stands twice, 0 where that is not certain. */
static int has_unique_members(const unsigned char *at, const unsigned char *end) {
    Name names[MOST_OPEN];
    int first_name[MOST_LEVELS];         /* of an object: where its names begin; -1 for an array */
    int level = -1, open_names = 0, name_is_next = 0;

    for (; at < end; at++) {
        switch (*at) {
        case '"': {
            int has_escape = 0;
            const unsigned char *start = at + 1;
            at = string_end(start, end, &has_escape);
            if (at == NULL)
                return 0;
            if (!name_is_next)
                break;
            const unsigned char *after = at + 1;
            while (after < end && is_blank(*after))
                after++;
            if (has_escape || after >= end || *after != ':' || at - start > UINT32_MAX)
                return 0;
            Name name = {start, (uint32_t)(at - start), name_key(start, (size_t)(at - start))};
            if (open_names == MOST_OPEN || open_names - first_name[level] == MOST_NAMES)
                return 0;
            for (int i = first_name[level]; i < open_names; i++)
                if (names[i].key == name.key && names[i].length == name.length &&
                    memcmp(names[i].start, name.start, name.length) == 0)
                    return 0;
            names[open_names++] = name;
            name_is_next = 0;
            at = after;
            break;
        }
        case '{':
        case '[':
            if (name_is_next || ++level == MOST_LEVELS)
                return 0;
            first_name[level] = *at == '{' ? open_names : -1;
            name_is_next = *at == '{';
            break;
        case '}':
        case ']':
            if (level < 0 || (*at == '}') != (first_name[level] >= 0))
                return 0;
            if (first_name[level] >= 0)
                open_names = first_name[level];
            level--;
            name_is_next = 0;
            break;
        case ',':
            if (name_is_next)
                return 0;
            name_is_next = level >= 0 && first_name[level] >= 0;
            break;
        default:
            break;
        }
    }
    return level == -1;
}

#ifndef WITHOUT_PYTHON /* tests/cds_hooks/call/protocol/fuzz_members.c includes this file for its scan alone */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

static PyObject *unique_members(PyObject *module, PyObject *text) {
    (void)module;
    Py_buffer view;
    if (PyObject_GetBuffer(text, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    const unsigned char *start = view.buf;
    int is_certain;
    if (view.len >= LONG_TEXT) {
        Py_BEGIN_ALLOW_THREADS
        is_certain = has_unique_members(start, start + view.len);
        Py_END_ALLOW_THREADS
    } else {
        is_certain = has_unique_members(start, start + view.len);
    }
    PyBuffer_Release(&view);
    return PyBool_FromLong(is_certain);
}

static PyMethodDef methods[] = {
    {"has_unique_members", unique_members, METH_O,
     "Returns True where no member of any object in this JSON text stands twice, False where that is not certain."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_members",
    .m_doc = "One pass over JSON text for members that stand twice.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__members(void) {
    return PyModuleDef_Init(&definition);
}
#endif
