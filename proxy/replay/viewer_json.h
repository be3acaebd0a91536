/* viewer_json: what the viewer's page is told; behind viewer.h. */
#ifndef COUNTERSIGN_REPLAY_VIEWER_JSON_H
#define COUNTERSIGN_REPLAY_VIEWER_JSON_H

#include "proxy/replay/viewer.h"

MUST_CHECK enum status viewer_complete(const struct recorded *r, json_t *exchanges);
/* New objects; NULL: no memory. */
json_t *viewer_session_json(const struct viewer *v);
json_t *viewer_exchange_json(const struct viewer *v, size_t index);

#endif
