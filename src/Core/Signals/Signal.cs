using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Signals;

/// <summary>How much it matters, from the least.</summary>
public enum Severity { Note = 1, Watch = 2, Alert = 3 }

/// <summary>What an analysis noticed. It speaks of datasets, places and sources, never of persons.</summary>
/// <param name="Kind">A stable word: <c>no-news</c>, <c>volume-low</c>.</param>
/// <param name="Key">Tells it from others of its kind in its partition: the same thing again has the same key, and is not raised twice.</param>
/// <param name="Dataset">What it is about.</param>
/// <param name="Source">The unit whose contributions it is about, or null.</param>
/// <param name="Figures">Numbers and moments that show it, by stable names.</param>
public sealed record Noticed(string Kind, string Key, Severity Severity, string Dataset, string? Source, IReadOnlyDictionary<string, JsonNode?> Figures);

/// <summary>A signal as it is kept.</summary>
/// <param name="FirstIndex">Ledger index of the entry, or of the head, at which it was noticed.</param>
/// <param name="Ended">When what it tells of was over, or null.</param>
public sealed record Signal(Guid Id, string Analysis, string Kind, Severity Severity, string Dataset, string? Source, long FirstIndex, DateTimeOffset Raised, DateTimeOffset? Ended, string Content, byte[] Salt, long? Entry);

/// <summary>Signals, and how far analyses have come.</summary>
public sealed class SignalSchema : IHotSchema
{
    public string Sql(SqlStore store) => $"""
        CREATE TABLE IF NOT EXISTS signal (
            id {store.Bytes} PRIMARY KEY,              -- its ledger entry
            analysis {store.Text} NOT NULL,
            partition_key {store.Text} NOT NULL,
            kind {store.Text} NOT NULL,
            key {store.Text} NOT NULL,
            severity {store.Number} NOT NULL,
            dataset {store.Text} NOT NULL,
            source {store.Text} NULL,
            first_index {store.Number} NOT NULL,
            raised {store.Number} NOT NULL,
            ended {store.Number} NULL,
            content {store.Text} NOT NULL,             -- canonical JSON of what was noticed
            salt {store.Bytes} NOT NULL
        ){store.Clustered};
        CREATE UNIQUE INDEX IF NOT EXISTS signal_key ON signal(analysis, partition_key, kind, key);
        CREATE INDEX IF NOT EXISTS signal_dataset ON signal(dataset, raised);

        CREATE TABLE IF NOT EXISTS analysis_offset (
            analysis {store.Text} PRIMARY KEY,
            version {store.Number} NOT NULL,
            next_index {store.Number} NOT NULL,        -- the first ledger index it has not taken
            ticks {store.Number} NOT NULL              -- raised by every step, so that of two at once one counts
        ){store.Clustered};
        CREATE TABLE IF NOT EXISTS analysis_state (
            analysis {store.Text} NOT NULL,
            partition_key {store.Text} NOT NULL,
            state {store.Bytes} NOT NULL,
            PRIMARY KEY (analysis, partition_key)
        ){store.Clustered};
        """;
}

/// <summary>Writes signals in the transaction of the step that noticed them.</summary>
internal static class SignalRows
{
    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Raises a signal with its ledger entry, unless the same was raised before.</summary>
    public static void Raise(WriteScope scope, string analysis, string partition, Noticed noticed, long index, DateTimeOffset now)
    {
        var id = Guid.CreateVersion7(now);
        var figures = new JsonObject();
        foreach (var (name, value) in noticed.Figures.OrderBy(f => f.Key, StringComparer.Ordinal))
            figures[name] = value?.DeepClone();
        var content = new JsonObject
        {
            ["analysis"] = analysis,
            ["dataset"] = noticed.Dataset,
            ["figures"] = figures,
            ["index"] = index,
            ["key"] = noticed.Key,
            ["kind"] = noticed.Kind,
            ["severity"] = (int)noticed.Severity,
            ["signal"] = id.ToString(),
            ["source"] = noticed.Source,
            ["time"] = Microseconds.From(now),
        }.ToJsonString(Json);
        var salt = RandomNumberGenerator.GetBytes(16);
        using var insert = scope.Command("""
            INSERT INTO signal(id, analysis, partition_key, kind, key, severity, dataset, source, first_index, raised, ended, content, salt)
            VALUES (@id, @analysis, @partition, @kind, @key, @severity, @dataset, @source, @index, @raised, NULL, @content, @salt) ON CONFLICT DO NOTHING
            """);
        insert.Set("@id", RecordId.Bytes(id)).Set("@analysis", analysis).Set("@partition", partition).Set("@kind", noticed.Kind).Set("@key", noticed.Key).Set("@severity", (long)noticed.Severity)
            .Set("@dataset", noticed.Dataset).Set("@source", noticed.Source).Set("@index", index).Set("@raised", Microseconds.From(now)).Set("@content", content).Set("@salt", salt);
        if (insert.ExecuteNonQuery() == 1)
            PendingEntries.Add(scope, id, "signal", EntryBytes.Commit(Encoding.UTF8.GetBytes(content), salt));
    }

    /// <summary>What the signal tells of is over.</summary>
    public static void End(WriteScope scope, string analysis, string partition, string kind, string key, DateTimeOffset now)
    {
        using var end = scope.Command("UPDATE signal SET ended = @now WHERE analysis = @analysis AND partition_key = @partition AND kind = @kind AND key = @key AND ended IS NULL");
        end.Set("@now", Microseconds.From(now)).Set("@analysis", analysis).Set("@partition", partition).Set("@kind", kind).Set("@key", key).ExecuteNonQuery();
    }
}
