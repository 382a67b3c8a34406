using System.Globalization;
using System.Text.Unicode;
using ParquetSharp;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>
/// A flat Parquet file, one row group after the other. Values become exact text: shortest round-trip for floating point,
/// ISO 8601 for times (with Z where the file says UTC). Nested columns are refused.
/// </summary>
public sealed class ParquetSource : ICellSource
{
    private readonly ParquetFileReader _file;
    private readonly ChunkWriter _writer;
    private readonly bool[] _utc;
    private readonly int _groups;
    private readonly Cursor?[] _cursors;
    private RowGroupReader? _group;
    private int _nextGroup;
    private long _left;
    private int _batch;

    private ParquetSource(ParquetFileReader file, bool collect)
    {
        _file = file;
        var meta = file.FileMetaData;
        var schema = meta.Schema;
        if (meta.NumColumns > FormatLimits.ColumnsMax) throw HeaderNames.TooMany();
        var names = new string[meta.NumColumns];
        _utc = new bool[names.Length];
        for (var c = 0; c < names.Length; c++)
        {
            var column = schema.Column(c);
            using var path = column.Path;
            if (column.MaxRepetitionLevel > 0 || column.MaxDefinitionLevel > 1 || path.ToDotVector().Length > 1)
                throw new SourceFormatException("format.parquet.nested", $"The column \"{column.Name}\" is nested; only flat files are taken.");
            names[c] = column.Name;
            using var type = column.LogicalType;
            _utc[c] = type is TimestampLogicalType { IsAdjustedToUtc: true };
        }
        Header = HeaderNames.Check(names);
        _groups = meta.NumRowGroups;
        _cursors = new Cursor?[names.Length];
        _writer = new ChunkWriter(names.Length, collect);
    }

    public IReadOnlyList<string> Header { get; }

    /// <summary>Opens the file at <paramref name="path"/>, which must stay there until this is disposed.</summary>
    /// <exception cref="SourceFormatException"><c>format.parquet</c>, <c>format.parquet.nested</c> or <c>format.header</c>.</exception>
    public static ParquetSource Open(string path, SourceOptions? options = null)
    {
        ParquetFileReader? file = null;
        try
        {
            CheckFrame(path);
            return Guard(() => new ParquetSource(file = new ParquetFileReader(path), (options ?? SourceOptions.Default).CollectFaults));
        }
        catch
        {
            file?.Dispose();
            throw;
        }
    }

    public ValueTask<CellChunk?> ReadAsync(CancellationToken cancel)
    {
        while (!_writer.Full)
        {
            cancel.ThrowIfCancellationRequested();
            if (_left == 0)
            {
                if (_nextGroup >= _groups) break;
                Guard(NextGroup);
                continue;
            }
            var rows = (int)Math.Min(_left, Math.Min(_batch, _writer.RowCapacity - _writer.Rows));
            Guard(() => ReadBatch(rows));
            _left -= rows;
        }
        return new ValueTask<CellChunk?>(_writer.Finish());
    }

    public ValueTask DisposeAsync()
    {
        _writer.Close();
        CloseGroup();
        _file.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Both marks and a footer that fits, before native code sees the file.</summary>
    private static void CheckFrame(string path)
    {
        using var stream = File.OpenRead(path);
        Span<byte> mark = stackalloc byte[8];
        if (stream.Length < 12) throw Damaged();
        stream.ReadExactly(mark[..4]);
        if (!mark[..4].SequenceEqual("PAR1"u8)) throw Damaged();
        stream.Position = stream.Length - 8;
        stream.ReadExactly(mark);
        if (mark[4..].SequenceEqual("PARE"u8)) throw new SourceFormatException("format.encrypted", "The Parquet file is encrypted.");
        if (!mark[4..].SequenceEqual("PAR1"u8) || BitConverter.ToUInt32(mark) > stream.Length - 12) throw Damaged();
    }

    private bool NextGroup()
    {
        CloseGroup();
        _group = _file.RowGroup(_nextGroup++);
        var meta = _group.MetaData;
        if (meta.NumRows < 0) throw Damaged();
        for (var c = 0; c < _cursors.Length; c++)
            _cursors[c] = _group.Column(c).LogicalReader().Apply(new CursorMaker(_writer, c, _utc[c]));
        _left = meta.NumRows;
        // Columns are read one after the other, so the rows of a batch must be guessed from their average size.
        var average = Math.Max(1, meta.TotalByteSize / Math.Max(1, _left));
        _batch = (int)Math.Clamp(FormatLimits.ChunkBytes / average, 1, _writer.RowCapacity);
        return true;
    }

    private bool ReadBatch(int rows)
    {
        foreach (var cursor in _cursors) cursor!.Read(_writer.Rows, rows);
        _writer.EndRows(rows);
        return true;
    }

    private void CloseGroup()
    {
        foreach (var cursor in _cursors) cursor?.Dispose();
        Array.Clear(_cursors);
        _group?.Dispose();
        _group = null;
    }

    private static T Guard<T>(Func<T> read)
    {
        try
        {
            return read();
        }
        catch (NotSupportedException)
        {
            throw new SourceFormatException("format.parquet.type", "A column has a type that is not taken.");
        }
        catch (Exception e) when (e is not SourceFormatException and not OutOfMemoryException and not OperationCanceledException)
        {
            throw Damaged();
        }
    }

    private static SourceFormatException Damaged() => new("format.parquet", "The file is not a readable Parquet file, or is damaged.");

    private abstract class Cursor : IDisposable
    {
        public abstract void Read(int firstRow, int rows);

        public abstract void Dispose();
    }

    private sealed class CursorMaker(ChunkWriter writer, int column, bool utc) : ILogicalColumnReaderVisitor<Cursor>
    {
        public Cursor OnLogicalColumnReader<TValue>(LogicalColumnReader<TValue> columnReader) => new Cursor<TValue>(columnReader, writer, column, utc);
    }

    private sealed class Cursor<T>(LogicalColumnReader<T> reader, ChunkWriter writer, int column, bool utc) : Cursor
    {
        private T[] _values = [];

        public override void Read(int firstRow, int rows)
        {
            if (_values.Length < rows) _values = new T[rows];
            if (reader.ReadBatch(_values.AsSpan(0, rows)) != rows) throw Damaged();
            for (var r = 0; r < rows; r++) Write(firstRow + r, _values[r]);
        }

        public override void Dispose() => reader.Dispose();

        /// <summary>T is a value type or a nullable one: the tests below are settled when the method is compiled for it.</summary>
        private void Write(int row, T value)
        {
            if (value is null) return;
            if (value is long int64) writer.Format(row, column, CellKind.Number, int64);
            else if (value is int int32) writer.Format(row, column, CellKind.Number, int32);
            else if (value is double float64) writer.Format(row, column, double.IsFinite(float64) ? CellKind.Number : CellKind.Inexact, float64);
            else if (value is string text) Text(row, text);
            else if (value is DateTime moment) writer.Format(row, column, CellKind.Temporal, moment, utc ? "yyyy-MM-ddTHH:mm:ss.FFFFFFF'Z'" : "yyyy-MM-ddTHH:mm:ss.FFFFFFF");
            else if (value is Date date) writer.Format(row, column, CellKind.Temporal, date.DateTime, "yyyy-MM-dd");
            else if (value is bool truth) writer.Set(row, column, CellKind.Boolean, truth ? "true"u8 : "false"u8);
            else if (value is decimal number) writer.Format(row, column, CellKind.Number, number);
            else if (value is float float32) writer.Format(row, column, float.IsFinite(float32) ? CellKind.Number : CellKind.Inexact, float32);
            else if (value is short int16) writer.Format(row, column, CellKind.Number, int16);
            else if (value is sbyte int8) writer.Format(row, column, CellKind.Number, int8);
            else if (value is ulong uint64) writer.Format(row, column, CellKind.Number, uint64);
            else if (value is uint uint32) writer.Format(row, column, CellKind.Number, uint32);
            else if (value is ushort uint16) writer.Format(row, column, CellKind.Number, uint16);
            else if (value is byte uint8) writer.Format(row, column, CellKind.Number, uint8);
            else if (value is DateTimeNanos nanos) Nanos(row, nanos.Ticks);
            else if (value is TimeSpan time) writer.Set(row, column, CellKind.Text, time.ToString("c", CultureInfo.InvariantCulture));
            else if (value is TimeSpanNanos timeNanos) writer.Set(row, column, CellKind.Text, timeNanos.TimeSpan.ToString("c", CultureInfo.InvariantCulture));
            else if (value is Guid id) writer.Format(row, column, CellKind.Text, id);
            else if (value is byte[] bytes) Bytes(row, bytes);
            else throw new SourceFormatException("format.parquet.type", "A column has a type that is not taken.");
        }

        /// <summary>The library replaces bytes that are not UTF-8 by U+FFFD, after which nobody can tell what stood there.</summary>
        private void Text(int row, string text)
        {
            if (text.Contains('\uFFFD')) writer.Fault(row, "format.encoding", "A cell holds text that is not UTF-8.");
            else writer.Set(row, column, CellKind.Text, text);
        }

        private void Bytes(int row, byte[] bytes)
        {
            if (Utf8.IsValid(bytes)) writer.Set(row, column, CellKind.Text, bytes);
            else writer.Fault(row, "format.encoding", "A cell holds bytes that are not UTF-8 text.");
        }

        private void Nanos(int row, long ticks)
        {
            const long Second = 1_000_000_000;
            var seconds = Math.DivRem(ticks, Second, out var rest);
            if (rest < 0) (seconds, rest) = (seconds - 1, rest + Second);
            var text = DateTime.UnixEpoch.AddSeconds(seconds).ToString("yyyy-MM-ddTHH:mm:ss", CultureInfo.InvariantCulture);
            if (rest > 0) text += "." + rest.ToString("000000000", CultureInfo.InvariantCulture).TrimEnd('0');
            writer.Set(row, column, CellKind.Temporal, utc ? text + "Z" : text);
        }
    }
}
