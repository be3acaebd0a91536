#include "proxy/record/comment.h"

#include <isa-l/crc.h>
#include <stdio.h>
#include <stdlib.h>

json_t *comment_read(const char *text)
{
    if (text == NULL || strncmp(text, COMMENT_PREFIX, sizeof COMMENT_PREFIX - 1) != 0)
        return NULL;
    json_t *o = json_loads(text + sizeof COMMENT_PREFIX - 1, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(o) && json_integer_value(json_object_get(o, "v")) == 1)
        return o;
    json_decref(o);
    return NULL;
}

struct index_cover comment_cover(const char *text)
{
    json_t *o = comment_read(text), *cover = json_object_get(o, "index");
    json_int_t from = json_integer_value(json_array_get(cover, 0)), to = json_integer_value(json_array_get(cover, 1));
    bool good = json_array_size(cover) == 2 && from > 0 && to >= from && to <= 999999999;
    json_decref(o);
    return good ? (struct index_cover){ (unsigned)from, (unsigned)to } : (struct index_cover){ 0 };
}

uint32_t comment_crc(uint32_t before, struct slice s)
{
    return crc32_gzip_refl(before, s.ptr, s.len);
}

bool comment_content_crc(const char *text, uint32_t *out)
{
    json_t *o = comment_read(text), *n = json_object_get(o, "crc32");
    bool good = json_is_integer(n) && json_integer_value(n) >= 0 && json_integer_value(n) <= UINT32_MAX;
    *out = (uint32_t)json_integer_value(n);
    json_decref(o);
    return good;
}

json_t *comment_string(struct slice bytes)
{
    json_t *o = json_stringn((const char *)(bytes.ptr ? bytes.ptr : (const unsigned char *)""), bytes.len);
    if (o != NULL || bytes.len > SIZE_MAX / 2)
        return o;
    char *text = malloc(bytes.len * 2 + 1);
    size_t n = 0;
    for (size_t i = 0; text != NULL && i < bytes.len; i++) {
        unsigned char c = bytes.ptr[i];
        if (c >= 0x80)
            text[n++] = (char)(0xc0 | c >> 6);
        text[n++] = (char)(c >= 0x80 ? 0x80 | (c & 63) : c);
    }
    o = text ? json_stringn(text, n) : NULL;
    free(text);
    return o;
}

bool notes_add(json_t *notes, const char *name, struct slice value)
{
    json_t *new = comment_string(value), *old = json_object_get(notes, name);
    if (new == NULL)
        return false;
    if (old == NULL)
        return json_object_set_new(notes, name, new) == 0;
    if (json_is_array(old))
        return json_array_append_new(old, new) == 0;
    json_t *both = json_pack("[Oo]", old, new);
    return both != NULL && json_object_set_new(notes, name, both) == 0;
}
