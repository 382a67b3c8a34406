using System.Data.Common;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Query;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Records;

/// <summary>
/// Takes the content and the salt of rows out of everything this node keeps; the leaf stays, so that the proofs of all other rows still hold. New
/// files are durable first, one transaction puts them in the old ones' place, then the old ones go. A crash leaves it not begun, or to be finished
/// at the next start. Whether the author may is decided before.
/// </summary>
public sealed class Erasures(World world, RecordStore store, Catalog.Catalog catalog, NodeWriter writer, TailTables tails, DuckEngine engine, SubjectKey subjects, TimeProvider clock)
{
    /// <summary>Records named in one request.</summary>
    public const int RecordsMax = 10_000;

    /// <summary>Characters of a reason.</summary>
    public const int ReasonMax = 1_000;

    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private readonly ErasureFiles _files = new(world, store, catalog, engine);

    /// <summary>Finishes erasures that a stop interrupted. Before the first request.</summary>
    public async Task OpenAsync(CancellationToken cancel)
    {
        foreach (var (id, dataset) in Unfinished())
            await FinishAsync(id, dataset, cancel).ConfigureAwait(false);
    }

    /// <summary>Erases, and returns when the last copy is gone. The same request again answers the same erasure, and finishes it if need be.</summary>
    public async Task<Result<Erasure>> EraseAsync(ErasureRequest request, CancellationToken cancel)
    {
        if (Refusal(request) is { } refusal)
            return refusal;
        using var alone = await store.ReshapeAsync(cancel).ConfigureAwait(false);
        var dataset = request.Dataset;
        var asked = Asked(request);
        var rows = request.Subject is { } subject ? await _files.FindSubjectAsync(dataset, subject, cancel).ConfigureAwait(false) : Split(request);
        if (rows is null)
            return Problem.NotFound("record.unknown", "There is no record with this id in this dataset, or you may not read it.");
        var open = rows.Where(r => store.ErasedLeaves(dataset.Number, r.Batch, r.Ordinal, 1).Count == 0).Distinct().ToList();
        if (open.Count == 0)
            return await RepeatAsync(asked, dataset, rows, cancel).ConfigureAwait(false);
        var (erased, segments) = await _files.PrepareAsync(dataset, open, cancel).ConfigureAwait(false);
        var now = clock.GetUtcNow();
        var id = Guid.CreateVersion7(now);
        try
        {
            await writer.RunAsync(scope => Swap(scope, id, now, request, asked, erased, segments), cancel).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not WriterStoppedException)
        {
            // The swap was not kept; after a stopped writer only the next start knows.
            _files.Discard(segments);
            throw;
        }
        await FinishAsync(id, dataset.Number, cancel).ConfigureAwait(false);
        return new Erasure(id, dataset.Id, request.Author, now, request.Reason, erased.Count, Repeated: false);
    }

    /// <summary>The erasure that took a row away, or null.</summary>
    public Erasure? FindByRecord(Dataset dataset, Guid record) =>
        RecordId.TrySplit(record, out var batch, out var ordinal)
            ? Find(dataset, "e.id = (SELECT erasure FROM erased WHERE dataset = @dataset AND batch = @batch AND ordinal = @ordinal)", command =>
            {
                command.Set("@batch", RecordId.Bytes(batch));
                command.Set("@ordinal", (long)ordinal);
            })?.Erasure
            : null;

    private static Problem? Refusal(ErasureRequest request)
    {
        if (string.IsNullOrWhiteSpace(request.Reason) || request.Reason.Length > ReasonMax)
            return Problem.Invalid("erasure.invalid", $"An erasure needs a reason of at most {ReasonMax} characters.");
        if (request.Subject is null == (request.Records.Count == 0) || request.Records.Count > RecordsMax || request.Subject is { Length: 0 })
            return Problem.Invalid("erasure.invalid", $"An erasure names 1 to {RecordsMax} records, or one subject.");
        return request.Subject is not null && request.Dataset.SubjectField is null
            ? Problem.Invalid("erasure.invalid", "The dataset names no subject; name the records.")
            : null;
    }

    /// <summary>What was asked, for telling a repeat: neither the ids nor the subject can be read from it.</summary>
    private byte[] Asked(ErasureRequest request) => subjects.Hash("erasure", request.Subject is { } subject
        ? Encoding.UTF8.GetBytes($"{request.Dataset.Id}\nsubject\n{subject}")
        : [.. Encoding.UTF8.GetBytes($"{request.Dataset.Id}\nrecords\n"), .. request.Records.Distinct().Order().SelectMany(RecordId.Bytes)]);

    private List<ReplacedRow>? Split(ErasureRequest request)
    {
        var rows = new List<ReplacedRow>();
        var batches = new Dictionary<Guid, Batch?>();
        foreach (var record in request.Records)
        {
            if (!RecordId.TrySplit(record, out var id, out var ordinal))
                return null;
            if (!batches.TryGetValue(id, out var batch))
                batches[id] = batch = store.FindBatch(id);
            if (batch is null || batch.Dataset != request.Dataset.Id || ordinal >= batch.Rows)
                return null;
            rows.Add(new(id, ordinal));
        }
        return rows;
    }

    private async Task<Result<Erasure>> RepeatAsync(byte[] asked, Dataset dataset, List<ReplacedRow> rows, CancellationToken cancel)
    {
        var earlier = Find(dataset, "e.request = @request", command => command.Set("@request", asked));
        if (earlier is null && rows.Count > 0 && FindByRecord(dataset, RecordId.Of(rows[0].Batch, rows[0].Ordinal)) is { } other)
            earlier = Find(dataset, "e.id = @id", command => command.Set("@id", RecordId.Bytes(other.Id)));
        if (earlier is not { } found)
            return Problem.NotFound("erasure.nothing", "The dataset holds nothing about this subject.");
        if (!found.Finished)
            await FinishAsync(found.Erasure.Id, dataset.Number, cancel).ConfigureAwait(false);
        return found.Erasure with { Repeated = true };
    }

    private void Swap(WriteScope scope, Guid id, DateTimeOffset now, ErasureRequest request, byte[] asked, List<ErasedRow> rows, List<RewrittenSegment> segments)
    {
        var dataset = request.Dataset.Number;
        InsertErasure(scope, id, now, request, asked, rows);
        foreach (var segment in segments)
            Replace(scope, dataset, id, segment);
        using (var delete = Command(scope, "DELETE FROM tail WHERE dataset = @dataset AND batch = @batch AND ordinal = @ordinal", dataset))
        using (var keep = Command(scope, """
            INSERT INTO replaced(dataset, batch, ordinal, leaf) VALUES (@dataset, @batch, @ordinal, @leaf) ON CONFLICT(dataset, batch, ordinal) DO UPDATE SET leaf = excluded.leaf WHERE replaced.leaf IS NULL
            """, dataset))
        using (var name = Command(scope, "INSERT INTO erased(dataset, batch, ordinal, erasure) VALUES (@dataset, @batch, @ordinal, @erasure)", dataset))
        {
            keep.Parameter("@leaf");
            name.Set("@erasure", RecordId.Bytes(id));
            foreach (var row in rows.OrderBy(r => r.Row.Batch).ThenBy(r => r.Row.Ordinal))
            {
                foreach (var command in (DbCommand[])[delete, keep, name])
                    (command.Parameters["@batch"].Value, command.Parameters["@ordinal"].Value) = (RecordId.Bytes(row.Row.Batch), (long)row.Row.Ordinal);
                keep.Parameters["@leaf"].Value = row.Leaf;
                if ((row.InTail && delete.ExecuteNonQuery() != 1) || keep.ExecuteNonQuery() != 1)
                    throw new InvalidOperationException("The rows changed while they were being erased.");
                name.ExecuteNonQuery();
            }
        }
        // The digest of a small file could be used to guess what stood in it; a repeat of that request is now refused instead of answered.
        using (var digest = scope.Command("UPDATE batch SET request_digest = NULL WHERE id = @batch"))
        {
            var batch = digest.Parameter("@batch");
            foreach (var one in rows.Select(r => r.Row.Batch).Distinct())
            {
                batch.Value = RecordId.Bytes(one);
                digest.ExecuteNonQuery();
            }
        }
        if (SqlStore.Of(scope.Connection).TailScrub is { } scrub)
        {
            using var again = scope.Command(scrub);
            again.ExecuteNonQuery();
        }
        store.Resync(scope, dataset);
    }

    private static void InsertErasure(WriteScope scope, Guid id, DateTimeOffset now, ErasureRequest request, byte[] asked, List<ErasedRow> rows)
    {
        var ids = rows.Select(r => RecordId.Of(r.Row.Batch, r.Row.Ordinal)).Order().SelectMany(RecordId.Bytes).ToArray();
        var content = new JsonObject
        {
            ["author"] = request.Author,
            ["count"] = rows.Count,
            ["dataset"] = request.Dataset.Id,
            ["erasure"] = id.ToString(),
            ["reason"] = request.Reason,
            ["records"] = Convert.ToHexStringLower(SHA256.HashData(ids)),
            ["time"] = Microseconds.From(now),
        }.ToJsonString(Json);
        var salt = RandomNumberGenerator.GetBytes(16);
        using var command = scope.Command("""
            INSERT INTO erasure(id, dataset, author, time, reason, records, request, content, salt) VALUES (@id, @dataset, @author, @time, @reason, @records, @request, @content, @salt)
            """);
        command.Set("@id", RecordId.Bytes(id));
        command.Set("@dataset", request.Dataset.Number);
        command.Set("@author", request.Author);
        command.Set("@time", Microseconds.From(now));
        command.Set("@reason", request.Reason);
        command.Set("@records", rows.Count);
        command.Set("@request", asked);
        command.Set("@content", content);
        command.Set("@salt", salt);
        command.ExecuteNonQuery();
        PendingEntries.Add(scope.Connection, scope.Transaction, id, "erasure", EntryBytes.Commit(Encoding.UTF8.GetBytes(content), salt));
    }

    private static void Replace(WriteScope scope, long dataset, Guid erasure, RewrittenSegment segment)
    {
        using var command = scope.Command("SELECT has_replaced FROM segment WHERE number = @old");
        command.Set("@old", segment.Old.Number);
        // Corrections may have come while the file was written.
        var replaced = command.ExecuteScalar() is long flag ? flag != 0 : throw new InvalidOperationException("A segment changed while rows of it were being erased.");
        if (segment.Fresh is { } fresh)
        {
            command.Set("@new", RecordStore.InsertSegment(scope, dataset, fresh with { HasReplaced = replaced }));
            command.CommandText = "UPDATE segment_batch SET segment = @new WHERE segment = @old";
        }
        else
        {
            command.CommandText = "DELETE FROM segment_batch WHERE segment = @old";
        }
        command.ExecuteNonQuery();
        command.CommandText = """
            INSERT INTO segment_discarded(name, erasure) SELECT name, @erasure FROM segment WHERE number = @old;
            DELETE FROM segment WHERE number = @old;
            """;
        command.Set("@erasure", RecordId.Bytes(erasure));
        command.ExecuteNonQuery();
    }

    /// <summary>After the swap: nobody reads the old files, they are gone, and the journal holds no old page.</summary>
    private async Task FinishAsync(Guid id, long dataset, CancellationToken cancel)
    {
        // Told anew, since a failure right behind the commit may have kept the readers from hearing of it.
        var sequence = await writer.RunAsync(scope => store.Resync(scope, dataset), cancel).ConfigureAwait(false);
        await tails.ForgetAsync(dataset, sequence, cancel).ConfigureAwait(false);
        await Task.WhenAll(Discarded(id).Select(store.Uses.Retire)).WaitAsync(cancel).ConfigureAwait(false);
        // A merge may have taken files from the list before, which hold the same rows and are still on their way out.
        await store.RemoveUnlistedAsync(cancel).ConfigureAwait(false);
        world.Durably("erase", () => DurableFile.FlushDirectory(store.Segments.Directory));
        await SqlStore.Of(world).ClearRemainsAsync(world, cancel).ConfigureAwait(false);
        SchemaUpgrade.DiscardCopy(world);
        await writer.RunAsync(scope =>
        {
            using var command = scope.Command("DELETE FROM segment_discarded WHERE erasure = @id; UPDATE erasure SET finished = @now WHERE id = @id");
            command.Set("@id", RecordId.Bytes(id));
            command.Set("@now", Microseconds.From(clock.GetUtcNow()));
            command.ExecuteNonQuery();
        }, cancel).ConfigureAwait(false);
    }

    private List<string> Discarded(Guid erasure)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT name FROM segment_discarded WHERE erasure = @id";
        command.Set("@id", RecordId.Bytes(erasure));
        var names = new List<string>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
            names.Add(reader.GetString(0));
        return names;
    }

    private List<(Guid Id, long Dataset)> Unfinished()
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT id, dataset FROM erasure WHERE finished IS NULL";
        var found = new List<(Guid, long)>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
            found.Add((RecordId.FromBytes((byte[])reader[0]), reader.GetInt64(1)));
        return found;
    }

    private (Erasure Erasure, bool Finished)? Find(Dataset dataset, string where, Action<DbCommand> bind)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        command.CommandText = $"SELECT e.id, e.author, e.time, e.reason, e.records, e.finished FROM erasure e WHERE e.dataset = @dataset AND {where} ORDER BY e.time DESC LIMIT 1";
        command.Set("@dataset", dataset.Number);
        bind(command);
        using var reader = command.ExecuteReader();
        if (!reader.Read())
            return null;
        var erasure = new Erasure(RecordId.FromBytes((byte[])reader[0]), dataset.Id, reader.GetString(1), Microseconds.ToTime(reader.GetInt64(2)), reader.GetString(3), reader.GetInt64(4), Repeated: true);
        return (erasure, !reader.IsDBNull(5));
    }

    private static DbCommand Command(WriteScope scope, string sql, long dataset)
    {
        var command = scope.Command(sql);
        command.Set("@dataset", dataset);
        command.Parameter("@batch");
        command.Parameter("@ordinal");
        return command;
    }
}
