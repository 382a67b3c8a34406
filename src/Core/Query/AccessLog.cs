using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Query;

/// <summary>The readings: one row each, with its salted commitment in the ledger.</summary>
public sealed class AccessSchema : IHotSchema
{
    public string Sql(SqlStore store) => $"""
        CREATE TABLE IF NOT EXISTS access (
            id {store.Bytes} PRIMARY KEY,
            dataset {store.Text} NOT NULL,
            reader {store.Text} NOT NULL,             -- party id
            time {store.Number} NOT NULL,
            content {store.Text} NOT NULL,            -- canonical JSON of the access
            salt {store.Bytes} NOT NULL
        ){store.Clustered};
        CREATE INDEX IF NOT EXISTS access_dataset ON access(dataset, time);
        CREATE INDEX IF NOT EXISTS access_reader ON access(reader, time);
        """;
}

/// <summary>What a reading shows, as its Access tells it.</summary>
/// <param name="Question">SHA-256 of the request: what was asked, without repeating values that may be personal.</param>
/// <param name="LedgerIndex">Everything with a ledger index below this was in view.</param>
public sealed record Reading(string Dataset, string Grant, string Purpose, long Epoch, long LedgerIndex, IEnumerable<string> Columns, byte[] Question);

/// <summary>Leaves an Access for each reading: durable, with its ledger entry, before the first row goes out.</summary>
public sealed class AccessLog(NodeWriter writer, PolicyEpoch epoch, TimeProvider clock)
{
    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>How often a reading is decided anew when what it rests on changes under it.</summary>
    private const int DecisionsMax = 5;

    /// <summary>Runs a reading that decides and leaves its access, again when what the decision rests on has changed in between.</summary>
    internal static async Task<T> DecidedAsync<T>(Func<Task<T>> reading)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await reading().ConfigureAwait(false);
            }
            catch (PolicyMovedException e)
            {
                if (attempt == DecisionsMax)
                    throw new StoreUnavailableException(e);
            }
        }
    }

    /// <summary>Records that <paramref name="caller"/> reads; answers the access id.</summary>
    /// <exception cref="PolicyMovedException">Something that the decision rests on has changed since, on this machine or another; nothing was recorded and nothing may be shown.</exception>
    public async Task<Guid> RecordAsync(Caller caller, Reading reading, CancellationToken cancel)
    {
        var now = clock.GetUtcNow();
        var id = Guid.CreateVersion7(now);
        var content = new JsonObject
        {
            ["access"] = id.ToString(),
            ["columns"] = new JsonArray([.. reading.Columns.Select(c => JsonValue.Create(c))]),
            ["dataset"] = reading.Dataset,
            ["epoch"] = reading.Epoch,
            ["grant"] = reading.Grant,
            ["ledgerIndex"] = reading.LedgerIndex,
            ["purpose"] = reading.Purpose,
            ["question"] = Convert.ToHexStringLower(reading.Question),
            ["reader"] = caller.Party,
            ["time"] = Microseconds.From(now),
        }.ToJsonString(Json);
        var salt = RandomNumberGenerator.GetBytes(16);
        var commitment = SHA256.HashData([0, .. Encoding.UTF8.GetBytes(content), .. salt]);
        await writer.RunAsync(scope =>
        {
            // Under the writer's lock, where this machine knows of every change of every other. A machine that stood still since it decided finds out here.
            if (epoch.Current != reading.Epoch)
                throw new PolicyMovedException();
            scope.Later("INSERT INTO access(id, dataset, reader, time, content, salt) VALUES (@id, @dataset, @reader, @time, @content, @salt)",
                ("@id", RecordId.Bytes(id)), ("@dataset", reading.Dataset), ("@reader", caller.Party), ("@time", Microseconds.From(now)), ("@content", content), ("@salt", salt));
            PendingEntries.Add(scope, id, "access", commitment);
        }, cancel).ConfigureAwait(false);
        Measures.Accessed();
        return id;
    }
}

/// <summary>What a decision rests on has changed between it and the access that it was to leave; it must be decided anew.</summary>
public sealed class PolicyMovedException() : Exception("The permission has changed since it was decided.");
