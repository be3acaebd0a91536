/* What is written for Prometheus, from two workers. */
#include "proxy/exchange/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct metrics workers[2];
static struct metrics *const all[2] = { &workers[0], &workers[1] };

static int set_up(void **state)
{
    (void)state;
    memset(workers, 0, sizeof workers);
    metrics_exchange(&workers[0], false, 200, 5, 10, 100, NULL);
    metrics_exchange(&workers[1], false, 200, 6, 10, 100, NULL);
    metrics_exchange(&workers[1], true, 503, 10001, 1, 2, "recording-unavailable");
    metrics_exchange(&workers[0], true, 999, 0, 0, 0, "made-up\"}\n");
    metric_add(&workers[0].connections, 2);
    metric_add(&workers[0].connections, (uint64_t)-1);
    metric_set(&workers[0].authz_heard_ms, 9000);
    metric_set(&workers[1].authz_heard_ms, 8500);
    return 0;
}

static void test_text(void **state)
{
    static const char *const lines[] = {
        "\nhttp_server_request_duration_seconds_bucket{network_protocol_version=\"1.1\",status_class=\"2xx\",le=\"0.005\"} 1\n",
        "\nhttp_server_request_duration_seconds_bucket{network_protocol_version=\"1.1\",status_class=\"2xx\",le=\"0.01\"} 2\n",
        "\nhttp_server_request_duration_seconds_count{network_protocol_version=\"1.1\",status_class=\"2xx\"} 2\n",
        "\nhttp_server_request_duration_seconds_sum{network_protocol_version=\"1.1\",status_class=\"2xx\"} 0.011\n",
        "\nhttp_server_request_duration_seconds_bucket{network_protocol_version=\"2\",status_class=\"5xx\",le=\"10\"} 0\n",
        "\nhttp_server_request_duration_seconds_bucket{network_protocol_version=\"2\",status_class=\"5xx\",le=\"+Inf\"} 1\n",
        "\nhttp_server_request_duration_seconds_count{network_protocol_version=\"2\",status_class=\"none\"} 1\n",
        "\ncountersign_refusals_total{type=\"recording-unavailable\"} 1\n",
        "\ncountersign_refusals_total{type=\"other\"} 1\n",
        "\ncountersign_connections 1\n", "\ncountersign_response_body_bytes_total 202\n", "\ncountersign_authz_silence_seconds 1.500\n",
    };
    char *text = NULL;
    size_t len = 0;
    (void)state;
    FILE *out = open_memstream(&text, &len);
    metrics_write(out, all, 2, 10000);
    fclose(out);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (strstr(text, lines[i]) == NULL)
            fail_msg("missing: %s", lines[i]);
    assert_null(strstr(text, "made-up"));
    free(text);
}

static void test_trouble(void **state)
{
    (void)state;
    assert_null(metrics_trouble(all, 2, 10000, 3000));
    assert_string_equal(metrics_trouble(all, 2, 12000, 3000), "authz is silent");
    metric_set(&workers[1].recording_broken, 1);
    assert_string_equal(metrics_trouble(all, 2, 10000, 3000), "the recording cannot be kept");
    metric_set(&workers[0].draining, 1);
    assert_string_equal(metrics_trouble(all, 2, 10000, 3000), "draining");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup(test_text, set_up), cmocka_unit_test_setup(test_trouble, set_up) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
