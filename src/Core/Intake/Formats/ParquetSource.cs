using System.Globalization;
using ParquetSharp;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>
/// A flat Parquet file, one row group after the other. Values become exact text: shortest round-trip for floating point,
/// ISO 8601 for times (with Z where the file says UTC). Nested columns are refused.
/// </summary>
/// <remarks>
/// A few bytes of a file may stand for a mebibyte in each of a million rows, so what a row expands to is known before it is copied: chunks end
/// where their text does, and the whole is bounded like gzip.
/// </remarks>
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
    private readonly long _fileBytes;
    private readonly long _expandedBytesMax;
    private readonly long[] _sizes = new long[BatchRowsMax];
    private long _expanded;

    /// <summary>Values read of a column at a time.</summary>
    private const int BatchRowsMax = 1_024;

    private ParquetSource(ParquetFileReader file, long fileBytes, SourceOptions options)
    {
        _file = file;
        (_fileBytes, _expandedBytesMax) = (fileBytes, options.ExpandedBytesMax);
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
        if (meta.NumRows < 0) throw Damaged();
        CheckExpanded(meta.NumRows, names.Length);
        _groups = meta.NumRowGroups;
        _cursors = new Cursor?[names.Length];
        _writer = new ChunkWriter(names.Length, options.CollectFaults);
    }

    public IReadOnlyList<string> Header { get; }

    /// <summary>Opens the file at <paramref name="path"/>, which must stay there until this is disposed.</summary>
    /// <exception cref="SourceFormatException"><c>format.parquet</c>, <c>format.parquet.nested</c>, <c>format.bomb</c> or <c>format.header</c>.</exception>
    public static ParquetSource Open(string path, SourceOptions? options = null)
    {
        ParquetFileReader? file = null;
        try
        {
            var bytes = CheckFrame(path);
            return Guard(() => new ParquetSource(file = new ParquetFileReader(path), bytes, options ?? SourceOptions.Default));
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
            _left -= Guard(ReadRows);
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
    private static long CheckFrame(string path)
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
        return stream.Length;
    }

    private bool NextGroup()
    {
        CloseGroup();
        _group = _file.RowGroup(_nextGroup++);
        var meta = _group.MetaData;
        if (meta.NumRows < 0) throw Damaged();
        CheckExpanded(meta.NumRows, _cursors.Length);
        long declared = 0;
        for (var c = 0; c < _cursors.Length; c++)
        {
            using var chunk = meta.GetColumnChunkMetaData(c);
            if (chunk.TotalUncompressedSize is < 0 or > FormatLimits.ParquetColumnBytesMax) throw Bomb();
            declared += chunk.TotalUncompressedSize;
            var column = _group.Column(c);
            _cursors[c] = IsText(column) ? new TextCursor((ColumnReader<ByteArray>)column, chunk.Encodings, _writer, c)
                : column.LogicalReader().Apply(new CursorMaker(_writer, c, _utc[c]));
        }
        CheckExpanded(declared, 1);
        _left = meta.NumRows;
        return true;
    }

    /// <summary>Bytes of text, or bytes of which nothing is said and which are taken if they are text.</summary>
    private static bool IsText(ColumnReader column)
    {
        using var type = column.ColumnDescriptor.LogicalType;
        return column is ColumnReader<ByteArray> && type.Type is LogicalTypeEnum.String or LogicalTypeEnum.None or LogicalTypeEnum.Enum or LogicalTypeEnum.Json;
    }

    /// <summary>As many rows as all columns have at hand and the chunk has room for, at least one. Answers how many.</summary>
    private int ReadRows()
    {
        var rows = (int)Math.Min(Math.Min(_left, BatchRowsMax), _writer.RowCapacity - _writer.Rows);
        foreach (var cursor in _cursors) rows = Math.Min(rows, cursor!.Fill(rows));
        var sizes = _sizes.AsSpan(0, rows);
        sizes.Fill(_cursors.Length);
        foreach (var cursor in _cursors) cursor!.AddSizes(sizes);
        var room = FormatLimits.ChunkBytes - _writer.TextLength;
        var (take, bytes) = (0, 0L);
        while (take < rows && sizes[take] <= FormatLimits.RowBytesMax && (take == 0 || bytes + sizes[take] <= room)) bytes += sizes[take++];
        if (take == 0)
        {
            // One row that is too long by itself.
            bytes = sizes[0];
            foreach (var cursor in _cursors) cursor!.Skip();
            _writer.Fault(_writer.Rows, "format.rowTooLong", RowSentences.RowTooLong);
            take = 1;
        }
        else
        {
            foreach (var cursor in _cursors) cursor!.Write(_writer.Rows, take);
        }
        _writer.EndRows(take);
        _expanded += bytes;
        CheckExpanded(_expanded, 1);
        return take;
    }

    private void CheckExpanded(long rows, int bytesEach)
    {
        var expanded = rows > long.MaxValue / bytesEach ? long.MaxValue : rows * bytesEach;
        if (expanded > _expandedBytesMax || (expanded > FormatLimits.ParquetGraceBytes && expanded / FormatLimits.ParquetExpansionRatioMax > _fileBytes)) throw Bomb();
    }

    private static SourceFormatException Bomb() => new("format.bomb", "The Parquet file expands beyond the limit.");

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

    /// <summary>One column of a row group, some values ahead of what was written.</summary>
    private abstract class Cursor : IDisposable
    {
        /// <summary>Values at hand, at least one and at most so many; reads on when there are none.</summary>
        public abstract int Fill(int rowsMax);

        /// <summary>Adds how much text the next rows will take.</summary>
        public abstract void AddSizes(Span<long> sizes);

        public abstract void Write(int firstRow, int rows);

        public abstract void Skip();

        public abstract void Dispose();
    }

    private sealed class CursorMaker(ChunkWriter writer, int column, bool utc) : ILogicalColumnReaderVisitor<Cursor>
    {
        public Cursor OnLogicalColumnReader<TValue>(LogicalColumnReader<TValue> columnReader) => new Cursor<TValue>(columnReader, writer, column, utc);
    }

    /// <summary>
    /// Text, taken from where the library holds it: its own strings would be made before anybody could ask how long they are, and would replace
    /// what is not UTF-8.
    /// </summary>
    private sealed class TextCursor : Cursor
    {
        /// <summary>Values encoded as changes to the one before are put together by the library, all of a batch at once.</summary>
        private const int FrontCodedRowsMax = 16;

        private readonly ColumnReader<ByteArray> _reader;
        private readonly ChunkWriter _writer;
        private readonly int _column;
        private readonly bool _optional;
        private readonly short[] _levels;
        // Without the missing ones. They point into memory of the reader, valid until it reads on.
        private readonly ByteArray[] _values;
        private int _at;
        private int _end;
        private int _value;

        public TextCursor(ColumnReader<ByteArray> reader, Encoding[] encodings, ChunkWriter writer, int column)
        {
            (_reader, _writer, _column) = (reader, writer, column);
            _optional = reader.ColumnDescriptor.MaxDefinitionLevel > 0;
            var rows = encodings.Contains(Encoding.DeltaByteArray) ? FrontCodedRowsMax : BatchRowsMax;
            (_levels, _values) = (new short[rows], new ByteArray[rows]);
        }

        public override int Fill(int rowsMax)
        {
            if (_at == _end)
            {
                var read = _reader.ReadBatch(Math.Min(rowsMax, _values.Length), _optional ? _levels : [], [], _values, out var values);
                if (read <= 0 || read > _values.Length || values > read || (!_optional && values != read)) throw Damaged();
                (_at, _end, _value) = (0, (int)read, 0);
            }
            return Math.Min(rowsMax, _end - _at);
        }

        public override void AddSizes(Span<long> sizes)
        {
            var value = _value;
            for (var r = 0; r < sizes.Length; r++)
            {
                if (Present(_at + r)) sizes[r] += _values[value++].Length;
            }
        }

        public override void Write(int firstRow, int rows)
        {
            for (var r = 0; r < rows; r++)
            {
                if (!Present(_at + r)) continue;
                var text = _values[_value++];
                if (text.Length > FormatLimits.CellBytesMax) _writer.Fault(firstRow + r, "format.cellTooLong", RowSentences.CellTooLong);
                else if (!_writer.TrySetUtf8(firstRow + r, _column, text.Pointer, text.Length)) _writer.Fault(firstRow + r, "format.encoding", RowSentences.NotUtf8);
            }
            _at += rows;
        }

        public override void Skip()
        {
            if (Present(_at)) _value++;
            _at++;
        }

        public override void Dispose() => _reader.Dispose();

        private bool Present(int at) => !_optional || _levels[at] > 0;
    }

    private sealed class Cursor<T>(LogicalColumnReader<T> reader, ChunkWriter writer, int column, bool utc) : Cursor
    {
        /// <summary>The longest number or time that is written.</summary>
        private const int TextBytes = 32;

        private readonly T[] _values = new T[BatchRowsMax];
        private int _at;
        private int _end;

        public override int Fill(int rowsMax)
        {
            if (_at == _end)
            {
                (_at, _end) = (0, reader.ReadBatch(_values.AsSpan(0, rowsMax)));
                if (_end <= 0) throw Damaged();
            }
            return Math.Min(rowsMax, _end - _at);
        }

        public override void AddSizes(Span<long> sizes)
        {
            for (var r = 0; r < sizes.Length; r++)
            {
                if (_values[_at + r] is not null) sizes[r] += TextBytes;
            }
        }

        public override void Write(int firstRow, int rows)
        {
            for (var r = 0; r < rows; r++) Write(firstRow + r, _values[_at + r]);
            _at += rows;
        }

        public override void Skip() => _at++;

        public override void Dispose() => reader.Dispose();

        /// <summary>T is a value type or a nullable one: the tests below are settled when the method is compiled for it.</summary>
        private void Write(int row, T value)
        {
            if (value is null) return;
            if (value is long int64) writer.Format(row, column, CellKind.Number, int64);
            else if (value is int int32) writer.Format(row, column, CellKind.Number, int32);
            else if (value is double float64) writer.Format(row, column, double.IsFinite(float64) ? CellKind.Number : CellKind.Inexact, float64);
            else if (value is DateTime moment) writer.Format(row, column, CellKind.Temporal, moment, utc ? "yyyy-MM-ddTHH:mm:ss.FFFFFFF'Z'" : "yyyy-MM-ddTHH:mm:ss.FFFFFFF");
            else if (value is Date date) writer.Format(row, column, CellKind.Temporal, date.DateTime, "yyyy-MM-dd");
            else if (value is bool truth) writer.Set(row, column, CellKind.Boolean, truth ? "true"u8 : "false"u8);
            else if (value is decimal number) writer.Format(row, column, CellKind.Number, number);
            // From here on a float is a whole number, and its shortest text would show other digits than it has.
            else if (value is float whole && Math.Abs(whole) is >= 1 << 24 and < 1e15f) writer.Format(row, column, CellKind.Number, (double)whole);
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
            else throw new SourceFormatException("format.parquet.type", "A column has a type that is not taken.");
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
