using Gongzhi.Core.Catalog;
using ParquetSharp;

namespace Gongzhi.Core.Records;

/// <summary>
/// Reads rows of a segment back as columns, exactly as they were written: for proofs, folds and compaction. Queries do not come
/// this way. The definition must be the version the segment was written under.
/// </summary>
public sealed class SegmentReader : IDisposable
{
    private readonly Dataset _dataset;
    private readonly ParquetFileReader _file;
    private readonly Dictionary<string, int> _columns = new(StringComparer.Ordinal);

    public SegmentReader(Dataset dataset, Segment segment)
    {
        if (dataset.Version != segment.SchemaVersion)
            throw new ArgumentException("A segment is read by the version of the definition it was written under.", nameof(dataset));
        _dataset = dataset;
        _file = new ParquetFileReader(segment.Path);
        var schema = _file.FileMetaData.Schema;
        for (var i = 0; i < schema.NumColumns; i++)
            _columns[schema.Column(i).Name] = i;
    }

    public int RowGroups => _file.FileMetaData.NumRowGroups;

    /// <summary>
    /// The rows of one row group for which <paramref name="wanted"/> holds (all when null), or null when there are none. Batches and
    /// ordinals are given row by row.
    /// </summary>
    public RowColumns? Read(int rowGroup, Func<Guid, uint, bool>? wanted = null)
    {
        using var group = _file.RowGroup(rowGroup);
        var n = checked((int)group.MetaData.NumRows);
        var batches = ReadBatches(group, n);
        var ordinals = new int[n];
        ReadRequired(group, "_ordinal", ordinals);
        var keep = new List<int>();
        for (var r = 0; r < n; r++)
        {
            if (wanted is null || wanted(batches[r], (uint)ordinals[r]))
                keep.Add(r);
        }
        if (keep.Count == 0)
            return null;
        var text = new TextBuffer();
        var rows = new RowColumns(_dataset, keep.Count)
        {
            Rows = keep.Count,
            Batches = [.. keep.Select(r => batches[r])],
            Ordinals = [.. keep.Select(r => (uint)ordinals[r])],
        };
        var times = new long[n];
        ReadRequired(group, "_time", times);
        for (var i = 0; i < keep.Count; i++)
            rows.Times[i] = times[keep[i]];
        if (_dataset.Salted)
            ReadSalts(group, n, keep, rows);
        ReadSupersedes(group, n, keep, rows);
        foreach (var column in rows.Fields)
            ReadField(group, n, keep, column, text);
        rows.Text = text.Bytes;
        return rows;
    }

    public void Dispose() => _file.Dispose();

    private Guid[] ReadBatches(RowGroupReader group, int n)
    {
        using var column = (ColumnReader<FixedLenByteArray>)group.Column(_columns["_batch"]);
        var ids = new Guid[n];
        var values = new FixedLenByteArray[n];
        var at = 0;
        while (at < n)
        {
            column.ReadBatch(n - at, null, null, values, out var read);
            for (var i = 0; i < read; i++)
                ids[at + i] = RecordId.FromBytes(Bytes(values[i].Pointer, 16));
            at += Advance((int)read);
        }
        return ids;
    }

    private void ReadRequired<T>(RowGroupReader group, string name, T[] to) where T : unmanaged
    {
        using var column = (ColumnReader<T>)group.Column(_columns[name]);
        var at = 0;
        while (at < to.Length)
        {
            column.ReadBatch(to.Length - at, null, null, to.AsSpan(at), out var read);
            at += Advance((int)read);
        }
    }

    private void ReadSalts(RowGroupReader group, int n, List<int> keep, RowColumns rows)
    {
        var all = new byte[n * RowColumns.SaltSize];
        using var column = (ColumnReader<FixedLenByteArray>)group.Column(_columns["_salt"]);
        var values = new FixedLenByteArray[n];
        var at = 0;
        while (at < n)
        {
            column.ReadBatch(n - at, null, null, values, out var read);
            for (var i = 0; i < read; i++)
                Bytes(values[i].Pointer, RowColumns.SaltSize).CopyTo(all.AsSpan((at + i) * RowColumns.SaltSize));
            at += Advance((int)read);
        }
        rows.Salts = new byte[keep.Count * RowColumns.SaltSize];
        for (var i = 0; i < keep.Count; i++)
            all.AsSpan(keep[i] * RowColumns.SaltSize, RowColumns.SaltSize).CopyTo(rows.Salts.AsSpan(i * RowColumns.SaltSize));
    }

    private void ReadSupersedes(RowGroupReader group, int n, List<int> keep, RowColumns rows)
    {
        var all = new Guid?[n];
        ReadOptional<FixedLenByteArray>(group, "_supersedes", n, (row, value) => all[row] = RecordId.FromBytes(Bytes(value.Pointer, 16)));
        if (keep.Exists(r => all[r] is not null))
            rows.Supersedes = [.. keep.Select(r => all[r])];
    }

    private void ReadField(RowGroupReader group, int n, List<int> keep, FieldColumn column, TextBuffer text)
    {
        var index = new int[n];
        index.AsSpan().Fill(-1);
        for (var i = 0; i < keep.Count; i++)
        {
            index[keep[i]] = i;
            column.Nulls[i] = true;
        }
        void Set(int row, long value)
        {
            if (index[row] is >= 0 and var i)
                (column.Nulls[i], column.Values[i]) = (false, value);
        }
        var name = column.Field.Name;
        switch (column.Field.Type)
        {
            case FieldType.String or FieldType.Place:
                ReadOptional<ByteArray>(group, name, n, (row, value) =>
                {
                    if (index[row] is not (>= 0 and var i))
                        return;
                    column.Nulls[i] = false;
                    (column.Starts[i], column.Lengths[i]) = text.Append(Bytes(value.Pointer, value.Length));
                });
                break;
            case FieldType.Double:
                ReadOptional<double>(group, name, n, (row, value) => Set(row, BitConverter.DoubleToInt64Bits(value)));
                break;
            case FieldType.Boolean:
                ReadOptional<bool>(group, name, n, (row, value) => Set(row, value ? 1 : 0));
                break;
            case FieldType.Date:
                ReadOptional<int>(group, name, n, (row, value) => Set(row, value));
                break;
            default:
                ReadOptional<long>(group, name, n, Set);
                break;
        }
    }

    private void ReadOptional<T>(RowGroupReader group, string name, int n, Action<int, T> set) where T : unmanaged
    {
        using var column = (ColumnReader<T>)group.Column(_columns[name]);
        var levels = new short[n];
        var values = new T[n];
        var at = 0;
        while (at < n)
        {
            var slots = (int)column.ReadBatch(n - at, levels, null, values, out _);
            var v = 0;
            for (var i = 0; i < slots; i++)
            {
                if (levels[i] == 1)
                    set(at + i, values[v++]);
            }
            at += Advance(slots);
        }
    }

    private static int Advance(int read) => read > 0 ? read : throw new InvalidDataException("A segment ends before its rows do.");

    private static unsafe ReadOnlySpan<byte> Bytes(IntPtr pointer, int length) => new((void*)pointer, length);

    private sealed class TextBuffer
    {
        private int _used;

        public byte[] Bytes { get; private set; } = new byte[1 << 16];

        public (int Start, int Length) Append(ReadOnlySpan<byte> text)
        {
            if (Bytes.Length - _used < text.Length)
            {
                var larger = new byte[Math.Max(Bytes.Length * 2, _used + text.Length)];
                Bytes.AsSpan(0, _used).CopyTo(larger);
                Bytes = larger;
            }
            text.CopyTo(Bytes.AsSpan(_used));
            _used += text.Length;
            return (_used - text.Length, text.Length);
        }
    }
}
