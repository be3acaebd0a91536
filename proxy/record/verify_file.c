#include "proxy/record/verify.h"

#include "proxy/record/session_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* One stretch of the file: a member, or bytes between members that are none. */
struct stretch {
    uint64_t start, end;
    unsigned number;                  /* 0: no member */
    unsigned char digest[32];
    bool explained;
};

struct layout {
    struct stretch *v;
    size_t count, cap;
    uint64_t end;                     /* where the end of the archive should be */
    uint64_t size;
    bool end_good, growing;
};

struct match {
    struct stretch *at;               /* the segment, as logged */
};

static enum status add_stretch(struct layout *l, const struct stretch *s)
{
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct stretch *v = realloc(l->v, cap * sizeof *v);
        if (v == NULL)
            return NO_MEMORY;
        l->v = v;
        l->cap = cap;
    }
    l->v[l->count++] = *s;
    return OK;
}

static bool zeros(int fd, uint64_t from, uint64_t to)
{
    unsigned char buf[TAR_BLOCK];
    for (; from < to; from += sizeof buf) {
        if (to - from < sizeof buf || tar_pread(fd, buf, sizeof buf, from, NULL) != OK)
            return false;
        for (size_t i = 0; i < sizeof buf; i++)
            if (buf[i] != 0)
                return false;
    }
    return true;
}

/* Find the members, and whatever else there is. */
static enum status lay_out(int fd, struct layout *l, struct err *err)
{
    uint64_t at = 0;
    while (at < l->size) {
        struct tar_member m = { 0 };
        struct stretch s = { .start = at };
        enum status st = tar_read_member(fd, at, l->size, &m, err);
        l->growing = st == BAD_INPUT && tar_was_growing(fd, at, l->size);
        if (st == CLOSED || l->growing)
            break;
        free(m.comment);
        if (st == OK) {
            s.end = m.end;
            s.number = m.number;
            st = session_file_digest(fd, &m, s.digest, err);
        } else if (st == BAD_INPUT) {
            s.end = tar_resync(fd, at, l->size);
            if (s.end == l->size && s.end - at > TAR_END && zeros(fd, s.end - TAR_END, s.end))
                s.end -= TAR_END;   /* the end of the archive is no part of what is damaged */
            st = OK;
        }
        if (st == OK)
            st = add_stretch(l, &s);
        if (st != OK)
            return st;
        at = s.end;
    }
    l->end = at;
    l->end_good = l->size - at == TAR_END && zeros(fd, at, l->size);
    return OK;
}

static void match_digests(const struct verify_segments *expected, struct layout *l, struct match *matches)
{
    size_t next = 0;   /* in an untouched file each is where the one before ends */
    for (size_t i = 0; i < expected->count; i++)
        for (size_t k = 0; k < l->count; k++) {
            struct stretch *s = &l->v[(next + k) % l->count];
            if (s->number == 0 || s->explained || memcmp(s->digest, expected->v[i].digest, sizeof s->digest) != 0)
                continue;
            s->explained = true;
            matches[i].at = s;
            next = (size_t)(s - l->v) + 1;
            break;
        }
}

static struct stretch *unexplained(struct layout *l, unsigned number)
{
    for (size_t i = 0; i < l->count; i++)
        if (!l->v[i].explained && l->v[i].number == number)
            return &l->v[i];
    return NULL;
}

/* A stretch nobody has explained between the segments found before and after expected[i]. */
static struct stretch *gap_at(struct layout *l, const struct match *matches, size_t count, size_t i)
{
    uint64_t from = 0, to = UINT64_MAX;
    for (size_t k = i; k > 0 && from == 0; k--)
        if (matches[k - 1].at != NULL)
            from = matches[k - 1].at->end;
    for (size_t k = i + 1; k < count && to == UINT64_MAX; k++)
        if (matches[k].at != NULL)
            to = matches[k].at->start;
    for (size_t k = 0; k < l->count; k++)
        if (!l->v[k].explained && l->v[k].start >= from && l->v[k].end <= to)
            return &l->v[k];
    return NULL;
}

/* What is missing of the gap may be the next segment's: two damaged ones side by side leave one gap. */
static void use_gap(struct stretch *s, uint64_t bytes)
{
    if (s->number == 0 && bytes > 0 && s->end - s->start > bytes)
        s->start += bytes;
    else
        s->explained = true;
}

static enum status report_lost(const struct verify_segments *expected, struct layout *l, struct match *matches, json_t *findings)
{
    for (size_t i = 0; i < expected->count; i++) {
        const struct verify_expected *e = &expected->v[i];
        enum status st;
        if (matches[i].at != NULL)
            continue;
        struct stretch *s = unexplained(l, e->number);
        if (s == NULL)
            s = gap_at(l, matches, expected->count, i);
        if (s == NULL) {
            st = verify_finding(findings, "missing-segment", e->number, 0, "segment %u is missing: the log has it, the recording does not", e->number);
        } else {
            bool cut = e->bytes > 0 && s->end - s->start < e->bytes;
            st = verify_finding(findings, "altered-segment", e->number, 0, "segment %u was altered: %s", e->number,
                                cut ? "bytes of it were cut away" : "its bytes are not those whose digest the log holds");
            if (s->number != 0)
                matches[i].at = s;
            use_gap(s, e->bytes);
        }
        if (st != OK)
            return st;
    }
    return OK;
}

static enum status report_order(const struct verify_segments *expected, const struct match *matches, json_t *findings)
{
    const struct stretch *last = NULL;
    unsigned last_number = 0;
    for (size_t i = 0; i < expected->count; i++) {
        if (matches[i].at == NULL)
            continue;
        if (last != NULL && matches[i].at->start < last->start
            && verify_finding(findings, "reordered-segment", expected->v[i].number, 0, "segment %u stands before segment %u", expected->v[i].number,
                              last_number) != OK)
            return NO_MEMORY;
        last = matches[i].at;
        last_number = expected->v[i].number;
    }
    return OK;
}

static unsigned number_before(const struct layout *l, size_t i)
{
    while (i > 0)
        if (l->v[--i].number != 0)
            return l->v[i].number;
    return 0;
}

static enum status report_extra(const struct verify_segments *expected, const struct layout *l, json_t *findings)
{
    unsigned most = expected->count ? expected->v[expected->count - 1].number : 0;
    for (size_t i = 0; i < l->count; i++) {
        const struct stretch *s = &l->v[i];
        enum status st = OK;
        if (s->explained || (s->number == 0 && s->end == l->size))   /* the latter is the end, below */
            continue;
        if (s->number > most)
            st = verify_finding(findings, "extra-segment", s->number, 0, "segment %u is in the recording but not in the log: its last one is %u",
                                s->number, most);
        else if (s->number > 0)
            st = verify_finding(findings, "extra-segment", s->number, 0, "a second segment %u is in the recording", s->number);
        else
            st = verify_finding(findings, "extra-bytes", number_before(l, i), 0, "%llu bytes after segment %u are no segment",
                                (unsigned long long)(s->end - s->start), number_before(l, i));
        if (st != OK)
            return st;
    }
    if (l->end_good)
        return OK;
    unsigned last = number_before(l, l->count);
    if (l->growing)
        return verify_finding(findings, "extra-segment", last + 1, 0,
                              "segment %u has only begun: this copy was made while the recording grew; make another", last + 1);
    return verify_finding(findings, "altered-end", last, 0, "the end of the archive after segment %u was altered: it should be %d zero bytes", last,
                          TAR_END);
}

static enum status compare(const struct verify_segments *expected, struct layout *l, json_t *findings)
{
    struct match *matches = calloc(expected->count ? expected->count : 1, sizeof *matches);
    if (matches == NULL)
        return NO_MEMORY;
    match_digests(expected, l, matches);
    enum status st = report_lost(expected, l, matches, findings);
    if (st == OK)
        st = report_order(expected, matches, findings);
    if (st == OK)
        st = report_extra(expected, l, findings);
    free(matches);
    return st;
}

enum status verify_file(const char *path, const struct verify_segments *expected, json_t *findings, unsigned *found_out, struct err *err)
{
    struct layout l = { 0 };
    struct stat sb;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, errno == ENOENT ? NOT_FOUND : IO_FAILED, "cannot read the recording '%s': %s", path, strerror(errno));
    enum status st = fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode) ? OK : fail(err, IO_FAILED, "'%s' is not a file", path);
    if (st == OK) {
        l.size = (uint64_t)sb.st_size;
        st = lay_out(fd, &l, err);
    }
    close(fd);
    if (st == OK)
        st = compare(expected, &l, findings);
    *found_out = 0;
    for (size_t i = 0; i < l.count; i++)
        *found_out += l.v[i].number != 0;
    free(l.v);
    return st == NO_MEMORY ? fail(err, st, "verify") : st;
}
