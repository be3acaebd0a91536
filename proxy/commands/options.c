#include "proxy/commands/commands.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 24, CODE_HELP = 1000, CODE_JSON = 1001, CODE_FIRST = 1100 };

static void print_option(FILE *out, char letter, const char *name, const char *arg, const char *help)
{
    char left[64];
    int width = 26;
    snprintf(left, sizeof left, "--%s%s%s", name, arg ? " " : "", arg ? arg : "");
    for (const char *p = left; *p != 0; p++)     /* printf pads bytes, and an ellipsis has three of them in one column */
        width += ((unsigned char)*p & 0xc0) == 0x80;
    if (letter)
        fprintf(out, "  -%c, %-*s %s\n", letter, width, left, help);
    else
        fprintf(out, "      %-*s %s\n", width, left, help);
}

static void print_usage(FILE *out, const struct usage *u)
{
    fprintf(out, "usage: %s\n\n%s\n\n", u->synopsis, u->text);
    for (const struct option_spec *o = u->options; o != NULL && o->name != NULL; o++)
        if (o->help != NULL)
            print_option(out, o->letter, o->name, o->arg, o->help);
    if (u->json != NULL)
        print_option(out, 0, "json", NULL, "print JSON for programs");
    print_option(out, 'h', "help", NULL, "print this and exit");
}

/* The two tables getopt_long wants, from ours. */
static void make_tables(const struct usage *u, struct option *longs, char *shorts)
{
    size_t n = 0, s = 0;
    shorts[s++] = ':';
    shorts[s++] = 'h';
    longs[n++] = (struct option){ "help", no_argument, NULL, CODE_HELP };
    if (u->json != NULL)
        longs[n++] = (struct option){ "json", no_argument, NULL, CODE_JSON };
    for (size_t i = 0; u->options != NULL && u->options[i].name != NULL && i < OPTIONS_MAX; i++) {
        const struct option_spec *o = &u->options[i];
        longs[n++] = (struct option){ o->name, o->value ? required_argument : no_argument, NULL, CODE_FIRST + (int)i };
        if (o->letter) {
            shorts[s++] = o->letter;
            if (o->value)
                shorts[s++] = ':';
        }
    }
    longs[n] = (struct option){ 0 };
    shorts[s] = 0;
}

static const struct option_spec *spec_of(const struct usage *u, int code)
{
    if (code >= CODE_FIRST)
        return &u->options[code - CODE_FIRST];
    for (const struct option_spec *o = u->options; o != NULL && o->name != NULL; o++)
        if (o->letter && o->letter == code)
            return o;
    return NULL;
}

static bool usage_error(const struct usage *u, int *exit_code, const char *what, const char *which)
{
    fprintf(stderr, "countersign: %s%s%s%s\nusage: %s\n(--help says more)\n", what, which ? " '" : "", which ? which : "", which ? "'" : "", u->synopsis);
    *exit_code = EXIT_USAGE;
    return false;
}

static bool is_many(const struct option_spec *o)
{
    static const char mark[] = " …";
    size_t n = o->arg != NULL ? strlen(o->arg) : 0;
    return n >= sizeof mark - 1 && strcmp(o->arg + n - (sizeof mark - 1), mark) == 0;
}

static bool take_option(const struct usage *u, int code, int *exit_code)
{
    if (code == CODE_HELP || code == 'h') {
        print_usage(stdout, u);
        *exit_code = EXIT_DONE;
        return false;
    }
    if (code == CODE_JSON) {
        *u->json = true;
        return true;
    }
    const struct option_spec *o = spec_of(u, code);
    const char **value = o->value;
    if (value != NULL && is_many(o)) {
        size_t n = 0;
        while (value[n] != NULL)
            n++;
        if (n == OPTION_TIMES_MAX - 1)
            return usage_error(u, exit_code, "given too often (16 times at most):", o->name);
        value += n;
    }
    if (value != NULL)
        *value = optarg;
    else
        *o->flag = true;
    return true;
}

bool options_parse(int argc, char **argv, const struct usage *u, char ***positionals, size_t *count, int *exit_code)
{
    struct option longs[OPTIONS_MAX + 3];
    char shorts[2 * OPTIONS_MAX + 4];
    make_tables(u, longs, shorts);
    optind = 0;
    opterr = 0;
    for (int code; (code = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        if (code == '?')
            return usage_error(u, exit_code, "unknown option", argv[optind - 1]);
        if (code == ':')
            return usage_error(u, exit_code, "a value is missing after", argv[optind - 1]);
        if (!take_option(u, code, exit_code))
            return false;
    }
    for (const struct option_spec *o = u->options; o != NULL && o->name != NULL; o++)
        if (o->required && *o->value == NULL) {
            char name[64];
            snprintf(name, sizeof name, "--%s", o->name);
            return usage_error(u, exit_code, "a required option is missing:", name);
        }
    size_t left = (size_t)(argc - optind);
    if (left < u->positionals_min)
        return usage_error(u, exit_code, "too few arguments", NULL);
    if (left > u->positionals_max)
        return usage_error(u, exit_code, "one argument too many:", argv[(size_t)optind + u->positionals_max]);
    *positionals = argv + optind;
    *count = left;
    return true;
}

int command_failed(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("countersign: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return EXIT_REFUSED;
}

int command_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
    putchar('\n');
    json_decref(value);
    return EXIT_DONE;
}
