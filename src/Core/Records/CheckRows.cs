using System.Data.Common;
using System.Security.Cryptography;
using System.Text.Json;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Ledger;

namespace Gongzhi.Core.Records;

/// <summary>
/// The rows' part of a check: each segment file against its name, and each row of segments and tail, encoded again and hashed, against the
/// hashes kept with its batch. Segments are read side by side, one group of rows at a time.
/// </summary>
internal sealed class CheckRows(World world, ISegmentStore store, DbConnection connection, DbTransaction snapshot, CheckReplaced replaced, CheckFindings findings, IProgress<RecordCheckProgress>? progress)
{
    private const int FileBufferBytes = 1 << 20;

    /// <summary>Tail rows hashed at once.</summary>
    private const int TailRowsAtOnce = 4_096;

    private readonly Dictionary<(long Number, int Version), Dataset> _definitions = [];
    private readonly CheckRuns _runs = new(world, findings);
    private long _rows, _total, _segments;

    public long Rows => _rows;
    public long Segments => _segments;

    private sealed record Listed(long Number, long Dataset, string Name, Segment Segment);

    public async Task RunAsync(CancellationToken cancel)
    {
        ReadDefinitions();
        var listed = List(connection, snapshot, after: 0);
        _total = listed.Sum(l => l.Segment.Rows);
        await CheckAsync(listed, cancel).ConfigureAwait(false);
        Tail(cancel);
        // Beside a running node, rows may have moved to new segments while the old ones were waiting here.
        var last = listed.Count == 0 ? 0 : listed[^1].Number;
        for (var round = 0; round < 3 && _runs.Open; round++)
        {
            using var now = RecordCheck.OpenReadOnly(world);
            if (List(now, null, last) is not { Count: > 0 } moved)
                break;
            _total += moved.Sum(l => l.Segment.Rows);
            await CheckAsync(moved, cancel).ConfigureAwait(false);
            last = moved[^1].Number;
        }
        _runs.Finish();
    }

    private Task CheckAsync(List<Listed> segments, CancellationToken cancel) =>
        Parallel.ForEachAsync(segments, new ParallelOptions { MaxDegreeOfParallelism = Math.Clamp(Environment.ProcessorCount, 1, 4), CancellationToken = cancel }, async (segment, stop) =>
        {
            using var reader = RecordCheck.OpenReadOnly(world);
            await CheckAsync(reader, segment, stop).ConfigureAwait(false);
            Interlocked.Increment(ref _segments);
        });

    private async Task CheckAsync(DbConnection reader, Listed listed, CancellationToken cancel)
    {
        var place = "segments/" + listed.Name + ".parquet";
        var dataset = _definitions.GetValueOrDefault((listed.Dataset, listed.Segment.SchemaVersion));
        // The store's own bytes, not what a cache has of them.
        using var stored = await store.OpenStoredAsync(listed.Name, cancel).ConfigureAwait(false);
        if (stored is null)
        {
            if (IsListed(reader, listed.Number))
                findings.Add(new CheckFinding(CheckKind.Segment, place, $"The segment {listed.Name} is missing.", $"分段文件 {listed.Name} 缺失。") { Dataset = dataset?.Id });
            else
                _runs.Moved();
            return;
        }
        if (dataset is null)
        {
            findings.Add(new CheckFinding(CheckKind.Definition, "node.db dataset_version",
                $"The definition that segment {listed.Name} was written under cannot be read, so its rows cannot be checked.",
                $"写入分段 {listed.Name} 时所用的数据集定义无法读取，因此无法核对其各行。"));
            return;
        }
        try
        {
            using (var stream = new FileStream(stored.Path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, FileBufferBytes, FileOptions.SequentialScan))
            {
                if (Convert.ToHexStringLower(SHA256.HashData(stream)) != listed.Name)
                    Changed(place, dataset, "its content is not the one that it is named by", "内容与其文件名所示的哈希不符");
            }
            ReadRows(reader, listed, stored.Path, dataset, place, cancel);
        }
        catch (Exception e) when (e is not OperationCanceledException && !File.Exists(stored.Path) && !IsListed(reader, listed.Number))
        {
            _runs.Moved();
        }
        catch (Exception e) when (e is not (OperationCanceledException or DbException or IOException))
        {
            // Whatever a reader of Parquet trips over, the file is not the one that was written under its name.
            Changed(place, dataset, $"it cannot be read: {e.Message}", "无法读取");
        }
    }

    private void Changed(string place, Dataset dataset, string english, string chinese) =>
        findings.Add(new CheckFinding(CheckKind.Segment, place, $"The segment {Path.GetFileName(place)} was changed: {english}.", $"分段文件 {Path.GetFileName(place)} 已被改动：{chinese}。") { Dataset = dataset.Id });

    private void ReadRows(DbConnection reader, Listed listed, string path, Dataset dataset, string place, CancellationToken cancel)
    {
        using var file = new SegmentReader(dataset, listed.Segment with { Path = path });
        var hasher = new Hasher(_runs, replaced, reader, dataset, new RowSource(CheckKind.SegmentRow, place));
        long read = 0;
        var bounded = true;
        for (var g = 0; g < file.RowGroups; g++)
        {
            cancel.ThrowIfCancellationRequested();
            if (file.Read(g) is not { } rows)
                continue;
            for (var first = 0; first < rows.Rows;)
            {
                var count = 1;
                while (first + count < rows.Rows && rows.BatchOf(first + count) == rows.BatchOf(first) && rows.OrdinalOf(first + count) == rows.OrdinalOf(first) + (uint)count)
                    count++;
                hasher.Add(rows, first, count);
                first += count;
            }
            bounded &= Bounded(listed.Segment, rows);
            read += rows.Rows;
            progress?.Report(new RecordCheckProgress(CheckStage.Segments, Interlocked.Add(ref _rows, rows.Rows), _total));
        }
        if (read != listed.Segment.Rows)
            Changed(place, dataset, $"it holds {read} rows and is listed with {listed.Segment.Rows}", $"含 {read} 行，而登记为 {listed.Segment.Rows} 行");
        else if (!bounded)
            Changed(place, dataset, "the bounds it is listed with leave rows out, so that queries would pass over them", "登记的时间或地点范围未涵盖其全部行，查询会遗漏这些行");
    }

    private static bool Bounded(Segment segment, RowColumns rows)
    {
        foreach (var time in rows.Times.AsSpan(0, rows.Rows))
        {
            if (time < segment.TimeMin || time > segment.TimeMax)
                return false;
        }
        if (rows.PlaceIndex < 0 || segment.PlaceMin is null || segment.PlaceMax is null)
            return true;
        var (min, max, column) = (System.Text.Encoding.UTF8.GetBytes(segment.PlaceMin), System.Text.Encoding.UTF8.GetBytes(segment.PlaceMax), rows.Fields[rows.PlaceIndex]);
        for (var r = 0; r < rows.Rows; r++)
        {
            if (!column.Nulls[r] && (rows.TextOf(column, r).SequenceCompareTo(min) < 0 || rows.TextOf(column, r).SequenceCompareTo(max) > 0))
                return false;
        }
        return true;
    }

    private void Tail(CancellationToken cancel)
    {
        using var reader = RecordCheck.OpenReadOnly(world);
        using var command = connection.CreateCommand();
        command.Transaction = snapshot;
        command.CommandText = "SELECT t.dataset, t.batch, t.ordinal, t.row, t.salt FROM tail t ORDER BY t.dataset, t.batch, t.ordinal";
        using var rows = command.ExecuteReader();
        var source = new RowSource(CheckKind.TailRow, "node.db tail");
        var leaves = new List<byte>(TailRowsAtOnce * 32);
        (long Dataset, Guid Batch, long First) run = default;
        long done = 0;
        while (rows.Read())
        {
            cancel.ThrowIfCancellationRequested();
            var dataset = rows.GetInt64(0);
            var batch = CheckBatches.Blob(rows, 1) is { Length: 16 } id ? RecordId.FromBytes(id) : Guid.Empty;
            var ordinal = rows.GetInt64(2);
            if (leaves.Count > 0 && (dataset != run.Dataset || batch != run.Batch || ordinal != run.First + leaves.Count / 32 || leaves.Count >= TailRowsAtOnce * 32))
                Flush();
            if (leaves.Count == 0)
                run = (dataset, batch, ordinal);
            var row = CheckBatches.Blob(rows, 3);
            leaves.AddRange(MerkleTree.LeafHash([.. row, .. CheckBatches.Blob(rows, 4)]));
            if (RowDecoder.Supersedes(row) is { } superseded)
                replaced.Superseding(reader, dataset, null, RecordId.Of(batch, (uint)ordinal), superseded);
            done++;
        }
        Flush();
        Interlocked.Add(ref _rows, done);
        progress?.Report(new RecordCheckProgress(CheckStage.Tail, done, done));

        void Flush()
        {
            if (leaves.Count > 0)
                _runs.Add(reader, run.Dataset, run.Batch, run.First, [.. leaves], source);
            leaves.Clear();
        }
    }

    private void ReadDefinitions()
    {
        using var command = connection.CreateCommand();
        command.Transaction = snapshot;
        command.CommandText = "SELECT d.id, d.number, v.version, v.definition FROM dataset d JOIN dataset_version v ON v.dataset = d.id";
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            var (id, number, version) = (reader.GetString(0), reader.GetInt64(1), reader.GetInt32(2));
            try
            {
                using var json = JsonDocument.Parse(reader.GetString(3));
                if (DatasetJson.Parse(json.RootElement, id, null, version, number) is { Ok: true } parsed)
                {
                    _definitions[(number, version)] = parsed.Value;
                    continue;
                }
            }
            catch (Exception e) when (e is JsonException or InvalidCastException or InvalidOperationException)
            {
                // Named below.
            }
            findings.Add(new CheckFinding(CheckKind.Definition, $"node.db dataset_version {id} {version}",
                $"Version {version} of the definition of {id} cannot be read.", $"数据集 {id} 的第 {version} 版定义无法读取。") { Dataset = id });
        }
    }

    private List<Listed> List(DbConnection from, DbTransaction? transaction, long after)
    {
        using var command = from.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "SELECT number, dataset, name, schema_version, rows, bytes, time_min, time_max, place_min, place_max FROM segment WHERE number > @after ORDER BY number";
        command.Set("@after", after);
        var list = new List<Listed>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            var segment = new Segment
            {
                Number = reader.GetInt64(0),
                Path = store.PathOf(Path.GetFileName(reader.GetString(2))),
                SchemaVersion = reader.GetInt32(3),
                Rows = reader.GetInt64(4),
                Bytes = reader.GetInt64(5),
                TimeMin = reader.GetInt64(6),
                TimeMax = reader.GetInt64(7),
                PlaceMin = reader.IsDBNull(8) ? null : reader.GetString(8),
                PlaceMax = reader.IsDBNull(9) ? null : reader.GetString(9),
            };
            list.Add(new Listed(segment.Number, reader.GetInt64(1), reader.GetString(2), segment));
        }
        return list;
    }

    private static bool IsListed(DbConnection reader, long number)
    {
        using var command = reader.CreateCommand();
        command.CommandText = "SELECT 1 FROM segment WHERE number = @number";
        command.Set("@number", number);
        return command.ExecuteScalar() is not null;
    }

    /// <summary>Leaves of rows as one thread reads them from one segment.</summary>
    private sealed class Hasher(CheckRuns runs, CheckReplaced replaced, DbConnection reader, Dataset dataset, RowSource source)
    {
        private readonly EncodedRows _buffer = new();
        private (Guid Batch, RowEncoder Encoder)? _encoder;

        public void Add(RowColumns rows, int first, int count)
        {
            var batch = rows.BatchOf(first);
            if (runs.Find(reader, batch) is not { } known)
            {
                runs.Unknown(batch, source, dataset.Id);
                return;
            }
            if (_encoder?.Batch != batch)
                _encoder = (batch, new RowEncoder(dataset, batch, known.SubjectSalt));
            var encoded = _encoder.Value.Encoder.Encode(rows, first, count, _buffer);
            var leaves = new byte[count * 32];
            Sha256Batch.HashMany(encoded.Bytes, encoded.Starts.AsSpan(0, count), encoded.Lengths.AsSpan(0, count), leaves);
            runs.Add(reader, dataset.Number, batch, rows.OrdinalOf(first), leaves, source);
            for (var r = first; rows.Supersedes is { } supersedes && r < first + count; r++)
            {
                if (supersedes[r] is { } superseded)
                    replaced.Superseding(reader, dataset.Number, dataset.Id, RecordId.Of(batch, rows.OrdinalOf(r)), superseded);
            }
        }
    }
}
