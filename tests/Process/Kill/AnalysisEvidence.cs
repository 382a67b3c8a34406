using Gongzhi.Analysis;
using Microsoft.Data.Sqlite;

namespace Gongzhi.Tests.Process.Kill;

/// <summary>What the analyses have made of the log, by their own states: each counts its batches, so one that was lost or taken twice shows.</summary>
internal static class AnalysisEvidence
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    // What stands before the rhythm in a state of the freshness analysis: its form, whether a silence lasts, the last ledger index.
    private const int BeforeRhythm = 10, LastIndex = 2;

    /// <summary>Waits until the freshness of each dataset has taken in its last batch, and demands that it has counted them all, each once.</summary>
    public static async Task DemandEachBatchOnceAsync(string data)
    {
        var since = TimeProvider.System.GetTimestamp();
        while (true)
        {
            var (behind, wrong, datasets) = Read(data);
            Assert.Empty(wrong);
            if (behind.Count == 0)
            {
                Assert.NotEqual(0, datasets);
                return;
            }
            Assert.True(TimeProvider.System.GetElapsedTime(since) < Limit, $"The analyses did not catch up: {string.Join("; ", behind)}");
            await Task.Delay(TimeSpan.FromMilliseconds(200), TimeProvider.System);
        }
    }

    private static (List<string> Behind, List<string> Wrong, int Datasets) Read(string data)
    {
        using var connection = new SqliteConnection($"Data Source={Path.Combine(data, "node.db")};Mode=ReadOnly;Pooling=False");
        connection.Open();
        using var snapshot = connection.BeginTransaction(deferred: true);
        using var command = connection.CreateCommand();
        command.CommandText = """
            SELECT d.id, MAX(p.log_index), s.state FROM dataset d JOIN batch b ON b.dataset = d.number JOIN ledger_pending p ON p.id = b.entry
            LEFT JOIN analysis_state s ON s.analysis = 'freshness' AND s.part = d.id GROUP BY d.id
            """;
        var (behind, wrong, datasets) = (new List<string>(), new List<string>(), 0);
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            datasets++;
            var (dataset, last) = (reader.GetString(0), reader.GetInt64(1));
            if (reader.IsDBNull(2))
            {
                behind.Add($"{dataset} has no state");
                continue;
            }
            var state = (byte[])reader[2];
            var at = BitConverter.ToInt64(state, LastIndex);
            using var bytes = new BinaryReader(new MemoryStream(state, BeforeRhythm, state.Length - BeforeRhythm));
            var counted = NewsRhythm.Read(bytes).News;
            using var count = connection.CreateCommand();
            count.CommandText = "SELECT COUNT(*) FROM batch b JOIN dataset d ON d.number = b.dataset JOIN ledger_pending p ON p.id = b.entry WHERE d.id = $dataset AND p.log_index <= $at";
            count.Parameters.AddWithValue("$dataset", dataset);
            count.Parameters.AddWithValue("$at", at);
            var there = (long)count.ExecuteScalar()!;
            // At the turn of a UTC week what was counted before is weighed less.
            if (counted > there || counted < there * 0.9 || (counted != there && counted == Math.Floor(counted)))
                wrong.Add($"{dataset}: counted {counted} of {there} up to {at}");
            if (at < last)
                behind.Add($"{dataset} is at {at} of {last}");
        }
        return (behind, wrong, datasets);
    }
}
