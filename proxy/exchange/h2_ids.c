#include "proxy/exchange/h2_ids.h"

static unsigned place(int32_t id)
{
    return (unsigned)id / 2 % H2_IDS_KEPT;
}

/* The state of a stream that is remembered, or 0. */
static unsigned state_of(const struct h2_ids *ids, int32_t id)
{
    uint32_t kept = ids->kept[place(id)];
    return kept >> 2 == (uint32_t)id >> 1 ? kept & 3 : 0;
}

static void set(struct h2_ids *ids, int32_t id, enum h2_id_state state)
{
    ids->kept[place(id)] = (uint32_t)id >> 1 << 2 | state;
}

enum h2_id_verdict h2_ids_headers(struct h2_ids *ids, int32_t id, bool live)
{
    if (id <= 0 || id % 2 == 0 || live)
        return H2_ID_FINE;            /* even: no client's number, which nghttp2 says */
    if (id > ids->last) {
        ids->last = id;
        set(ids, id, H2_ID_OPEN);
        return H2_ID_FINE;
    }
    unsigned state = state_of(ids, id);
    if (state == 0)
        return H2_ID_BACKWARD;
    return state == H2_ID_CLOSED ? H2_ID_STREAM_CLOSED : H2_ID_FINE;
}

enum h2_id_verdict h2_ids_data(const struct h2_ids *ids, int32_t id, bool live)
{
    if (id <= 0 || id % 2 == 0 || live || id > ids->last)
        return H2_ID_FINE;            /* on an idle stream: nghttp2 refuses that itself */
    return state_of(ids, id) == H2_ID_CLOSED ? H2_ID_STREAM_CLOSED : H2_ID_FINE;
}

void h2_ids_closed(struct h2_ids *ids, int32_t id)
{
    if (id % 2 != 0 && state_of(ids, id) == H2_ID_OPEN)
        set(ids, id, H2_ID_CLOSED);
}

void h2_ids_reset(struct h2_ids *ids, int32_t id)
{
    if (id % 2 != 0 && state_of(ids, id) != 0)
        set(ids, id, H2_ID_RESET_BY_US);
}
