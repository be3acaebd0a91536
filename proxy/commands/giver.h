/* giver: the parent's side of a window (proxy/base/window.h), one for each life of a child. It gives the config in force, and the files that this config names for that child (confine.h). */
#ifndef COUNTERSIGN_GIVER_H
#define COUNTERSIGN_GIVER_H

#include "config/config.h"

#include <uv.h>

enum { GIVER_REFUSED_MAX = 512 };

/* The parent's, read at each question. */
struct giver_source {
    struct config *config;            /* in force; of config_load_text */
    char refused[GIVER_REFUSED_MAX];  /* why the last reload was refused; "": it was not. A child that asks anew is told so; one that starts gets what is in force */
};

struct giver;
/* *child_fd_out is for the child; the caller closes it. */
MUST_CHECK enum status giver_new(uv_loop_t *loop, const char *child, const struct giver_source *source, struct giver **out, int *child_fd_out, struct err *err);
/* Frees itself once the loop has run. NULL is fine. */
void giver_free(struct giver *g);

#endif
