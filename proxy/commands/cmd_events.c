/* countersign events: the list of audit events, from the table. */
#include "proxy/commands/commands.h"

#include "authz/events.h"

static json_t *row_json(const struct event_row *r)
{
    json_t *fields = json_object();
    for (const struct event_field *f = r->fields; f->from != NULL; f++)
        json_object_set_new(fields, f->to, json_string(f->from));
    return json_pack("{s:s, s:s*, s:i, s:i, s:i, s:i, s:b, s:s, s:o}", "name", r->name, "leaf", r->leaf, "class_uid", r->class_uid, "activity_id", (int)r->activity_id, "type_uid",
                     (int)(r->class_uid * 100 + r->activity_id), "severity_id", r->severity, "failure", r->failure, "meaning", r->meaning, "fields", fields);
}

static int print_json(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < event_table_count; i++)
        json_array_append_new(list, row_json(&event_table[i]));
    return command_json(json_pack("{s:s, s:o}", "ocsf", EVENT_OCSF_VERSION, "events", list));
}

static void print_text(void)
{
    for (size_t i = 0; i < event_table_count; i++) {
        const struct event_row *r = &event_table[i];
        printf("%-25s %d %-13s %s\n", r->name, (int)(r->class_uid * 100 + r->activity_id), event_severity_name(r->severity), r->meaning);
    }
}

int cmd_events(int argc, char **argv)
{
    bool markdown = false, json = false;
    const struct option_spec options[] = {
        { "markdown", 0, NULL, "the whole reference, with all fields, as Markdown", NULL, &markdown, false },
        { 0 },
    };
    const struct usage usage = { "countersign events [--markdown]", "The audit events that the gateway tells of (setting `audit`): name, OCSF type_uid, severity, meaning.", options, 0, 0, &json };
    char **rest;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &rest, &count, &code))
        return code;
    if (json)
        return print_json();
    if (markdown)
        event_write_reference(stdout);
    else
        print_text();
    return EXIT_DONE;
}
