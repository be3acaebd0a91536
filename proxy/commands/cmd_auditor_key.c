/* countersign auditor-key: the pair that makes somebody able to open recordings. */
#include "proxy/commands/auditor.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/wrong_usage.h"

#include <stdio.h>

int cmd_auditor_key(int argc, char **argv)
{
    const char *output = NULL;
    bool json = false;
    const struct option_spec options[] = {
        { "output", 'o', "FILE", "where the secret key goes (else standard output); the file must not be there yet", &output, NULL, false },
        { 0 },
    };
    const struct usage usage = { "countersign auditor-key [--output FILE]",
        "Make your key pair as an auditor. The secret key stays with you, with a copy in a safe place, since nobody else can open what is sealed to it.\n"
        "The public key is printed: it goes to the operator, who puts it into `recording.sealed_to`. The format is that of age (age-keygen's keys fit as well).", options, 0, 0, &json };
    char **args, public_key[AGE_PUBLIC_LEN + 1];
    size_t count;
    int code;
    struct err err;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    if (output == NULL && json)
        return wrong_usage(&usage, "--json needs --output FILE: a secret key is not for a program's log");
    if (auditor_key_write(output, public_key, &err) != OK)
        return command_failed("%s", err.text);
    if (json)
        return command_json(json_pack("{s:s, s:s}", "public_key", public_key, "file", output));
    if (output == NULL)
        fprintf(stderr, "Public key: %s\n", public_key);
    else
        printf("%s\n", public_key);
    fprintf(stderr, "Keep the secret key%s%s, and a copy of it in a safe place: without it nobody opens what is sealed to it.\n", output ? " in " : "", output ? output : "");
    return EXIT_DONE;
}
