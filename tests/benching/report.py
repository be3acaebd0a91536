"""The figures as a table for people."""

PLAIN = ("nginx", "haproxy")

COLUMNS = {
    "cpu": [("CPU s/1000", "cpu_s_per_1000", "{:.4f}"), ("req/s", "requests_per_s", "{:.0f}"), ("busy", "busy", "{:.0%}"),
            ("p50 ms", "p50_ms", "{:.2f}"), ("p99 ms", "p99_ms", "{:.2f}"), ("RSS MiB", "rss_mib", "{:.0f}")],
    "bulk": [("CPU s/GiB", "cpu_s_per_gib", "{:.3f}"), ("MiB/s", "mib_per_s", "{:.0f}"), ("busy", "busy", "{:.0%}"), ("RSS MiB", "rss_mib", "{:.0f}")],
    "latency": [("p99 ms", "p99_ms", "{:.2f}"), ("p50 ms", "p50_ms", "{:.2f}"), ("rate/s", "rate", "{:.0f}"), ("CPU s/1000", "cpu_s_per_1000", "{:.4f}"),
                ("busy", "busy", "{:.0%}")],
    "idle": [("KiB each", "kib_per_connection", "{:.1f}"), ("held", "connections", "{:.0f}"), ("RSS MiB", "rss_mib", "{:.0f}")],
}


def ratios(kind, results):
    """{proxy: first column against the better of plain nginx and plain HAProxy}, where one of them was measured."""
    key = COLUMNS[kind][0][1]
    plain = [results[p][key] for p in PLAIN if p in results]
    if not plain or min(plain) <= 0:
        return {}
    return {name: r[key] / min(plain) for name, r in results.items()}


def table(case, results):
    columns = COLUMNS[case.kind]
    ratio = ratios(case.kind, results)
    lines = [f"\n{case.name}: {case.what}", "  " + " " * 20 + "".join(f"{title:>12}" for title, _, _ in columns) + f"{'ratio':>9}"]
    for name, r in results.items():
        cells = "".join(f"{form.format(r[key]):>12}" for _, key, form in columns)
        off = results.get("countersign-off", {}).get(columns[0][1], 0)
        price = f"   {r[columns[0][1]] / off:.2f} of unrecorded" if off and name in ("countersign", "countersign-metadata") else ""
        few = results.get("countersign-few", {}).get(columns[0][1], 0)
        if few and name == "countersign-many":
            price += f"   {r[columns[0][1]] / few:.2f} of few"
        lines.append(f"  {name:<20}{cells}" + (f"{ratio[name]:>9.2f}" if name in ratio else "") + price)
        threads = r.get("threads_cpu_s_per_1000", {})
        if name.startswith("countersign") and sum(threads.values()) > 0:
            whole = sum(threads.values())
            shares = [f"{n} {s / whole:.0%}" for n, s in sorted(threads.items(), key=lambda t: -t[1]) if s > 0.005 * whole]
            lines.append(" " * 20 + "of its CPU: " + ", ".join(shares))
    return "\n".join(lines)
