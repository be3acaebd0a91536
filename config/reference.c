/* The reference of all settings, written from the table. */
#include "config/settings.h"

#include <inttypes.h>

static void range_text(const struct setting *s, char *out, size_t max)
{
    char low[FORM_TEXT_MAX], high[FORM_TEXT_MAX];
    if (s->shape == SHAPE_TIME) {
        duration_text(s->min, low);
        duration_text(s->max, high);
    } else if (s->shape == SHAPE_SIZE) {
        size_text(s->min, low);
        size_text(s->max, high);
    } else {
        snprintf(low, sizeof low, "%" PRId64, s->min);
        snprintf(high, sizeof high, "%" PRId64, s->max);
    }
    snprintf(out, max, "%s to %s", low, high);
}

void setting_type_text(const struct setting *s, char *out, size_t max)
{
    char range[80];
    range_text(s, range, sizeof range);
    switch (s->shape) {
    case SHAPE_BOOL:
        snprintf(out, max, "true or false");
        break;
    case SHAPE_COUNT:
        snprintf(out, max, "a whole number, %s", range);
        break;
    case SHAPE_SIZE:
        snprintf(out, max, "a size in quotes, %s", range);
        break;
    case SHAPE_TIME:
        snprintf(out, max, "a time in quotes, %s", range);
        break;
    case SHAPE_TEXT:
        snprintf(out, max, "%s", s->form->expected);
        break;
    case SHAPE_TEXTS:
        snprintf(out, max, "a list [ ... ], each %s", s->form->expected);
        break;
    case SHAPE_GROUP:
        snprintf(out, max, "a group { ... }");
        break;
    case SHAPE_LIST:
        snprintf(out, max, "a list of groups ( { ... }, { ... } )");
        break;
    }
}

/* A cell of a Markdown table: '|' would end it. */
static void write_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void write_row(FILE *out, const struct setting *s)
{
    char type[200];
    setting_type_text(s, type, sizeof type);
    fprintf(out, "| `%s` | ", s->name);
    write_cell(out, type);
    fputs(" | ", out);
    if (s->fallback == NULL)
        fputs("required", out);
    else if (s->fallback[0] == 0)
        fputs("none", out);
    else
        fprintf(out, "`%s`", s->fallback);
    fputs(" | ", out);
    write_cell(out, s->help);
    fputs(" |\n", out);
}

/* A section, then those below it; one that stands in several places is written once. */
static void write_section(FILE *out, const struct section *section, const struct section **done, size_t *done_count)
{
    for (size_t i = 0; i < *done_count; i++)
        if (done[i] == section)
            return;
    done[(*done_count)++] = section;
    fprintf(out, "\n## %s\n\n%s\n\n| setting | type | default | what it does |\n|---|---|---|---|\n", section->title, section->help);
    for (const struct setting *s = section->settings; s->name != NULL; s++)
        write_row(out, s);
    for (const struct setting *s = section->settings; s->name != NULL; s++)
        if (s->sub != NULL)
            write_section(out, s->sub, done, done_count);
}

void config_write_reference(FILE *out)
{
    const struct section *done[32];
    size_t done_count = 0;
    fputs("# Settings\n\nThe file is libconfig: `name = value;`. Times and sizes are text with a unit: `ms s m h d`, `B KiB MiB GiB`. Paths are relative to the\n"
          "folder of the file they stand in. An unknown setting is an error. `countersign check -c FILE` shows every problem at once.\n", out);
    write_section(out, &settings_root, done, &done_count);
}
