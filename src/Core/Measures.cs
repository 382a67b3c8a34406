using System.Diagnostics.Metrics;

namespace Gongzhi.Core;

/// <summary>What an operator counts: how much, never who, what or about whom. Names stand in docs/guide/operator.md.</summary>
public static class Measures
{
    public const string MeterName = "Gongzhi.Core";

    private static readonly Meter Meter = new(MeterName);
    private static readonly Counter<long> Contributions = Meter.CreateCounter<long>("gongzhi.contributions", description: "Contributions, by outcome: accepted, refused.");
    private static readonly Counter<long> Rows = Meter.CreateCounter<long>("gongzhi.rows", description: "Rows of accepted contributions, by outcome: accepted, rejected.");
    private static readonly Counter<long> Queries = Meter.CreateCounter<long>("gongzhi.queries", description: "Queries, by outcome: answered, refused.");
    private static readonly Counter<long> Accesses = Meter.CreateCounter<long>("gongzhi.accesses", description: "Readings that left an access.");
    private static readonly Counter<long> Refusals = Meter.CreateCounter<long>("gongzhi.decisions.refused", description: "Decisions that refused what was asked.");

    internal static void Contributed(bool accepted, long rows, long rejected)
    {
        Contributions.Add(1, Outcome(accepted ? "accepted" : "refused"));
        if (rows > 0)
            Rows.Add(rows, Outcome("accepted"));
        if (rejected > 0)
            Rows.Add(rejected, Outcome("rejected"));
    }

    internal static void Queried(bool answered) => Queries.Add(1, Outcome(answered ? "answered" : "refused"));

    internal static void Accessed() => Accesses.Add(1);

    internal static void Refused() => Refusals.Add(1);

    private static KeyValuePair<string, object?> Outcome(string outcome) => new("outcome", outcome);
}
