/* top_view: the table of live sessions, as `countersign top` shows it. */
#ifndef COUNTERSIGN_TOP_VIEW_H
#define COUNTERSIGN_TOP_VIEW_H

#include <jansson.h>
#include <stdio.h>

struct top_view {
    unsigned columns, rows;           /* of the terminal; 0: as much as it takes */
    size_t selected;                  /* the marked row; SIZE_MAX: none */
    const char *line_end;             /* "\n", or what also clears the rest of a line */
};

/* answer: what GET /api/v1/activity said. Sessions that don't fit are counted in a last line. */
void top_print(FILE *out, const json_t *answer, const struct top_view *v);

#endif
