using System.Collections.Concurrent;
using System.Data.Common;
using Gongzhi.Core.Storage;
using Gongzhi.Ledger;

namespace Gongzhi.Core.Records;

/// <summary>Where rows were read.</summary>
internal sealed record RowSource(CheckKind Kind, string Place);

/// <summary>What the check needs of a batch. <paramref name="Tree"/> is empty where it does not lead to the root; then the batch is named, not its rows.</summary>
internal sealed record CheckedBatch(long Dataset, string? DatasetId, long Rows, byte[] Tree, byte[] SubjectSalt);

/// <summary>
/// Compares runs of 256 leaves with the hashes kept of their batch. A run whose rows lie in several places waits here until its last
/// leaf has come; erased rows give the leaf that was kept. Used by several threads.
/// </summary>
internal sealed class CheckRuns(World world, CheckFindings findings)
{
    /// <summary>Batches remembered; the next rows are mostly of the same few.</summary>
    private const int BatchesKept = 256;

    private readonly ConcurrentDictionary<Guid, CheckedBatch> _batches = new();
    private readonly Dictionary<(Guid Batch, long Run), OpenRun> _open = [];
    private readonly Lock _lock = new();
    private volatile bool _moved;

    private sealed class OpenRun(int count)
    {
        public byte[] Leaves { get; } = new byte[count * 32];
        public bool[] Have { get; } = new bool[count];
        public List<RowSource> Sources { get; } = [];
    }

    /// <summary>Whether a segment went away while it was waiting, so that its rows are to be looked for elsewhere.</summary>
    public bool Open => _moved;

    public void Moved() => _moved = true;

    public CheckedBatch? Find(DbConnection reader, Guid batch)
    {
        if (_batches.TryGetValue(batch, out var known))
            return known;
        using var command = reader.CreateCommand();
        command.CommandText = "SELECT b.dataset, d.id, b.rows, b.root, b.tree, b.subject_salt FROM batch b LEFT JOIN dataset d ON d.number = b.dataset WHERE b.id = @id";
        command.Set("@id", RecordId.Bytes(batch));
        using var row = command.ExecuteReader();
        if (!row.Read())
            return null;
        var rows = row.GetInt64(2);
        var tree = CheckBatches.Blob(row, 4);
        var sound = tree.Length == (rows + BatchTree.Span - 1) / BatchTree.Span * 32 && BatchTree.Root(tree).AsSpan().SequenceEqual(CheckBatches.Blob(row, 3));
        var found = new CheckedBatch(row.GetInt64(0), row.IsDBNull(1) ? null : row.GetString(1), rows, sound ? tree : [], CheckBatches.Blob(row, 5));
        if (_batches.Count >= BatchesKept)
            _batches.Clear();
        _batches[batch] = found;
        return found;
    }

    public void Unknown(Guid batch, RowSource source, string? dataset) => findings.Add(new CheckFinding(source.Kind, source.Place,
        $"{source.Place} holds rows of batch {batch}, which does not exist or ends before them.", $"{source.Place} 中有批次 {batch} 的行，而该批次不存在或没有这些行。") { Batch = batch, Dataset = dataset });

    /// <summary>Takes leaves of consecutive rows of one batch.</summary>
    public void Add(DbConnection reader, long dataset, Guid batch, long first, ReadOnlySpan<byte> leaves, RowSource source)
    {
        if (Find(reader, batch) is not { } known || known.Dataset != dataset || first + leaves.Length / 32 > known.Rows)
        {
            Unknown(batch, source, null);
            return;
        }
        if (known.Tree.Length == 0)
            return;
        while (!leaves.IsEmpty)
        {
            var run = first / BatchTree.Span;
            var size = (int)Math.Min(BatchTree.Span, known.Rows - run * BatchTree.Span);
            var at = (int)(first % BatchTree.Span);
            var take = Math.Min(size - at, leaves.Length / 32);
            if (take == size)
                Compare(batch, known, run, leaves[..(take * 32)], [source]);
            else
                Keep(batch, known, run, size, at, leaves[..(take * 32)], source);
            first += take;
            leaves = leaves[(take * 32)..];
        }
    }

    /// <summary>What is still open lacks rows: erased ones, or ones that are gone.</summary>
    public void Finish()
    {
        using var reader = RecordCheck.OpenReadOnly(world);
        foreach (var ((batch, run), open) in _open)
        {
            if (Find(reader, batch) is not { } known)
                continue;
            Erased(reader, known, batch, run, open);
            var missing = open.Have.Count(have => !have);
            if (missing == 0)
                Compare(batch, known, run, open.Leaves, open.Sources);
            else
                Lost(batch, known, run, open, missing);
        }
        _open.Clear();
    }

    private void Keep(Guid batch, CheckedBatch known, long run, int size, int at, ReadOnlySpan<byte> leaves, RowSource source)
    {
        OpenRun? whole = null;
        lock (_lock)
        {
            if (!_open.TryGetValue((batch, run), out var open))
                _open[(batch, run)] = open = new OpenRun(size);
            leaves.CopyTo(open.Leaves.AsSpan(at * 32));
            open.Have.AsSpan(at, leaves.Length / 32).Fill(true);
            if (!open.Sources.Contains(source))
                open.Sources.Add(source);
            if (!open.Have.Contains(false))
            {
                _open.Remove((batch, run));
                whole = open;
            }
        }
        if (whole is not null)
            Compare(batch, known, run, whole.Leaves, whole.Sources);
    }

    private void Compare(Guid batch, CheckedBatch known, long run, ReadOnlySpan<byte> leaves, List<RowSource> sources)
    {
        if (MerkleRoot.Compute(leaves).AsSpan().SequenceEqual(known.Tree.AsSpan((int)run * 32, 32)))
            return;
        // Of several places, the file that is not the one it is named by is the one that was changed; else each is named.
        var guilty = sources.Where(s => findings.Names(CheckKind.Segment, s.Place)).ToList();
        var (first, last) = (run * BatchTree.Span, run * BatchTree.Span + leaves.Length / 32 - 1);
        foreach (var source in guilty.Count > 0 ? guilty : sources)
        {
            findings.Add(new CheckFinding(source.Kind, source.Place,
                $"Of rows {first} to {last} of batch {batch} in {known.DatasetId}, what lies in {source.Place} is not what was committed.",
                $"数据集 {known.DatasetId} 批次 {batch} 的第 {first} 至 {last} 行（从 0 起）中，位于 {source.Place} 的内容与所承诺的不符。")
            { Dataset = known.DatasetId, Batch = batch, FirstRow = first, LastRow = last });
        }
    }

    private void Lost(Guid batch, CheckedBatch known, long run, OpenRun open, int missing)
    {
        var (first, last) = (run * BatchTree.Span, run * BatchTree.Span + open.Have.Length - 1);
        findings.Add(new CheckFinding(open.Sources[0].Kind, open.Sources[0].Place,
            $"Of rows {first} to {last} of batch {batch} in {known.DatasetId}, {missing} are missing.",
            $"数据集 {known.DatasetId} 批次 {batch} 的第 {first} 至 {last} 行（从 0 起）中，缺少 {missing} 行。")
        { Dataset = known.DatasetId, Batch = batch, FirstRow = first, LastRow = last });
    }

    private static void Erased(DbConnection reader, CheckedBatch known, Guid batch, long run, OpenRun open)
    {
        using var command = reader.CreateCommand();
        command.CommandText = "SELECT ordinal, leaf FROM replaced WHERE dataset = @dataset AND batch = @batch AND ordinal >= @first AND ordinal < @end AND leaf IS NOT NULL";
        command.Set("@dataset", known.Dataset);
        command.Set("@batch", RecordId.Bytes(batch));
        command.Set("@first", run * BatchTree.Span);
        command.Set("@end", run * BatchTree.Span + open.Have.Length);
        using var rows = command.ExecuteReader();
        while (rows.Read())
        {
            var at = (int)(rows.GetInt64(0) - run * BatchTree.Span);
            if (open.Have[at] || CheckBatches.Blob(rows, 1) is not { Length: 32 } leaf)
                continue;
            leaf.CopyTo(open.Leaves, at * 32);
            open.Have[at] = true;
        }
    }
}
