#include "proxy/exchange/h2_ids.h"

static int find(const struct h2_ids *ids, int32_t id)
{
    for (int i = 0; i < H2_IDS_KEPT; i++)
        if (ids->kept[i].id == id)
            return i;
    return -1;
}

enum h2_id_verdict h2_ids_headers(struct h2_ids *ids, int32_t id, bool live)
{
    if (id <= 0 || live)
        return H2_ID_FINE;
    if (id > ids->last) {
        ids->last = id;
        ids->kept[ids->next].id = id;
        ids->kept[ids->next].state = H2_ID_OPEN;
        ids->next = (ids->next + 1) % H2_IDS_KEPT;
        return H2_ID_FINE;
    }
    int at = find(ids, id);
    if (at < 0)
        return H2_ID_BACKWARD;
    return ids->kept[at].state == H2_ID_CLOSED ? H2_ID_STREAM_CLOSED : H2_ID_FINE;
}

enum h2_id_verdict h2_ids_data(const struct h2_ids *ids, int32_t id, bool live)
{
    if (id <= 0 || live || id > ids->last)
        return H2_ID_FINE;            /* on an idle stream: nghttp2 refuses that itself */
    int at = find(ids, id);
    return at >= 0 && ids->kept[at].state == H2_ID_CLOSED ? H2_ID_STREAM_CLOSED : H2_ID_FINE;
}

void h2_ids_closed(struct h2_ids *ids, int32_t id)
{
    int at = find(ids, id);
    if (at >= 0 && ids->kept[at].state == H2_ID_OPEN)
        ids->kept[at].state = H2_ID_CLOSED;
}

void h2_ids_reset(struct h2_ids *ids, int32_t id)
{
    int at = find(ids, id);
    if (at >= 0)
        ids->kept[at].state = H2_ID_RESET_BY_US;
}
