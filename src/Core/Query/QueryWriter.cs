using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Apache.Arrow;
using Apache.Arrow.Ipc;
using Apache.Arrow.Types;
using Gongzhi.Core.Catalog;

namespace Gongzhi.Core.Query;

/// <summary>What was written.</summary>
/// <param name="Rows">Rows handed out.</param>
/// <param name="Next">Where to go on, or null at the end and for formats that are not paged.</param>
public sealed record QueryWritten(long Rows, string? Next);

/// <summary>Writes an answer to a stream as it comes, holding one batch at a time.</summary>
public static class QueryWriter
{
    private const int FlushBytes = 64 * 1024;

    /// <summary>What a text begins with that a spreadsheet program would take for a formula.</summary>
    internal static ReadOnlySpan<byte> FormulaStarts => "=+-@\t\r"u8;

    // Answers are served as JSON, never inside HTML, so 汉字 need no escapes.
    private static readonly JsonWriterOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    public static string MediaType(QueryFormat format) => format switch
    {
        QueryFormat.Json => "application/json",
        QueryFormat.Ndjson => "application/x-ndjson",
        QueryFormat.Csv => "text/csv; charset=utf-8",
        QueryFormat.Arrow => "application/vnd.apache.arrow.stream",
        QueryFormat.Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        _ => "application/vnd.apache.parquet",
    };

    /// <param name="reader">Fresh; the caller disposes it.</param>
    /// <param name="output">Left open and not flushed.</param>
    /// <param name="format">For JSON, the query must have been compiled as JSON.</param>
    /// <param name="access">Id of the Access this reading left, repeated in JSON.</param>
    /// <param name="forSpreadsheet">CSV only: a byte order mark, and texts that a spreadsheet would take for formulas made harmless.</param>
    /// <exception cref="AnswerSpoolException">For xlsx and Parquet, before anything is written: there is no room to make the file.</exception>
    /// <exception cref="WorkbookCellException">For xlsx, before anything is written: a text is too long for a cell.</exception>
    /// <param name="cancel">Stops the writing; the query stops by the token it was started with.</param>
    public static Task<QueryWritten> WriteAsync(QueryReader reader, Stream output, QueryFormat format, string access, bool forSpreadsheet, CancellationToken cancel) => format switch
    {
        QueryFormat.Json => JsonAsync(reader, output, access, cancel),
        QueryFormat.Ndjson => NdjsonAsync(reader, output, cancel),
        QueryFormat.Csv => CsvAsync(reader, output, forSpreadsheet, cancel),
        QueryFormat.Arrow => ArrowAsync(reader, output, cancel),
        QueryFormat.Xlsx => XlsxAsync(reader, output, cancel),
        _ => ParquetAsync(reader, output, cancel),
    };

    private static async Task<QueryWritten> JsonAsync(QueryReader reader, Stream output, string access, CancellationToken cancel)
    {
        var query = reader.Query;
        var buffer = new ArrayBufferWriter<byte>(FlushBytes * 2);
        using var json = new Utf8JsonWriter(buffer, Json);
        json.WriteStartObject();
        json.WriteStartArray("columns");
        foreach (var column in query.Columns)
        {
            json.WriteStartObject();
            json.WriteString("name", column.Name);
            json.WriteString("type", column.TypeName);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartArray("rows");
        long rows = 0;
        string? next = null;
        string?[]? last = null;
        while (await reader.NextAsync().ConfigureAwait(false) is { } batch)
        {
            using (batch)
            {
                var cells = Cells(batch, batch.ColumnCount);
                var room = query.PageSize > 0 ? (int)Math.Min(batch.Length, query.PageSize - rows) : batch.Length;
                for (var row = 0; row < room; row++)
                {
                    json.WriteStartArray();
                    for (var i = 0; i < query.Columns.Count; i++)
                        Value(json, cells[i], row);
                    json.WriteEndArray();
                    await FlushAsync(json, buffer, output, FlushBytes, cancel).ConfigureAwait(false);
                }
                rows += room;
                if (room > 0 && query.Cursor is not null)
                    last = [.. query.KeyColumns.Select(k => Key(cells[k], room - 1))];
                if (room < batch.Length && last is not null)
                    next = query.Cursor!.Make(last);
            }
        }
        json.WriteEndArray();
        json.WriteString("next", next);
        json.WriteString("access", access);
        json.WriteString("grant", query.Grant);
        json.WriteEndObject();
        await FlushAsync(json, buffer, output, 0, cancel).ConfigureAwait(false);
        return new(rows, next);
    }

    private static async Task<QueryWritten> NdjsonAsync(QueryReader reader, Stream output, CancellationToken cancel)
    {
        var names = reader.Query.Columns.Select(c => JsonEncodedText.Encode(c.Name, JavaScriptEncoder.UnsafeRelaxedJsonEscaping)).ToArray();
        var buffer = new ArrayBufferWriter<byte>(FlushBytes * 2);
        using var json = new Utf8JsonWriter(buffer, Json);
        long rows = 0;
        while (await reader.NextAsync().ConfigureAwait(false) is { } batch)
        {
            using (batch)
            {
                var cells = Cells(batch, names.Length);
                for (var row = 0; row < batch.Length; row++)
                {
                    json.WriteStartObject();
                    for (var i = 0; i < names.Length; i++)
                    {
                        json.WritePropertyName(names[i]);
                        Value(json, cells[i], row);
                    }
                    json.WriteEndObject();
                    json.Flush();
                    json.Reset();
                    buffer.Write("\n"u8);
                    if (buffer.WrittenCount >= FlushBytes)
                        await FlushAsync(json, buffer, output, FlushBytes, cancel).ConfigureAwait(false);
                }
                rows += batch.Length;
            }
        }
        await FlushAsync(json, buffer, output, 0, cancel).ConfigureAwait(false);
        return new(rows, null);
    }

    private static async Task<QueryWritten> CsvAsync(QueryReader reader, Stream output, bool forSpreadsheet, CancellationToken cancel)
    {
        var buffer = new ArrayBufferWriter<byte>(FlushBytes * 2);
        if (forSpreadsheet)
            buffer.Write("\uFEFF"u8);
        var columns = reader.Query.Columns;
        for (var i = 0; i < columns.Count; i++)
        {
            if (i > 0)
                buffer.Write(","u8);
            CsvText(buffer, Encoding.UTF8.GetBytes(columns[i].Name), forSpreadsheet);
        }
        buffer.Write("\r\n"u8);
        long rows = 0;
        while (await reader.NextAsync().ConfigureAwait(false) is { } batch)
        {
            using (batch)
            {
                var cells = Cells(batch, columns.Count);
                for (var row = 0; row < batch.Length; row++)
                {
                    CsvRow(buffer, cells, row, forSpreadsheet);
                    if (buffer.WrittenCount >= FlushBytes)
                    {
                        await output.WriteAsync(buffer.WrittenMemory, cancel).ConfigureAwait(false);
                        buffer.ResetWrittenCount();
                    }
                }
                rows += batch.Length;
            }
        }
        await output.WriteAsync(buffer.WrittenMemory, cancel).ConfigureAwait(false);
        return new(rows, null);
    }

    private static void CsvRow(ArrayBufferWriter<byte> buffer, CellText[] cells, int row, bool forSpreadsheet)
    {
        for (var i = 0; i < cells.Length; i++)
        {
            if (i > 0)
                buffer.Write(","u8);
            ref readonly var cell = ref cells[i];
            if (cell.IsNull(row))
                continue;
            if (cell.IsText)
                CsvText(buffer, cell.Text(row), forSpreadsheet);
            else
                buffer.Advance(cell.Format(row, buffer.GetSpan(CellText.MaxLength)));
        }
        buffer.Write("\r\n"u8);
    }

    /// <summary>RFC 4180; an empty text is quoted, to tell it from no value.</summary>
    private static void CsvText(ArrayBufferWriter<byte> buffer, ReadOnlySpan<byte> text, bool forSpreadsheet)
    {
        var formula = forSpreadsheet && text.Length > 0 && FormulaStarts.Contains(text[0]);
        if (text.Length > 0 && !formula && text.IndexOfAny(",\"\r\n"u8) < 0)
        {
            buffer.Write(text);
            return;
        }
        buffer.Write("\""u8);
        if (formula)
            buffer.Write("'"u8);
        for (int quote; (quote = text.IndexOf((byte)'"')) >= 0; text = text[(quote + 1)..])
        {
            buffer.Write(text[..(quote + 1)]);
            buffer.Write("\""u8);
        }
        buffer.Write(text);
        buffer.Write("\""u8);
    }

    private static async Task<QueryWritten> ArrowAsync(QueryReader reader, Stream output, CancellationToken cancel)
    {
        var schema = Visible(reader);
        long rows = 0;
        using var writer = new ArrowStreamWriter(output, schema, leaveOpen: true);
        await writer.WriteStartAsync(cancel).ConfigureAwait(false);
        while (await reader.NextAsync().ConfigureAwait(false) is { } batch)
        {
            using (batch)
            {
                await writer.WriteRecordBatchAsync(Visible(batch, schema), cancel).ConfigureAwait(false);
                rows += batch.Length;
            }
        }
        await writer.WriteEndAsync(cancel).ConfigureAwait(false);
        return new(rows, null);
    }

    /// <summary>By way of a file of our own: Parquet writes synchronously, which a response refuses.</summary>
    private static async Task<QueryWritten> ParquetAsync(QueryReader reader, Stream output, CancellationToken cancel)
    {
        var schema = Visible(reader);
        long rows = 0;
        var file = reader.OpenSpool();
        await using (file.ConfigureAwait(false))
        {
            using (var properties = new ParquetSharp.WriterPropertiesBuilder().Compression(ParquetSharp.Compression.Zstd).Build())
            using (var sink = new ParquetSharp.IO.ManagedOutputStream(file, leaveOpen: true))
            using (var writer = new ParquetSharp.Arrow.FileWriter(sink, schema, properties))
            {
                while (await reader.NextAsync().ConfigureAwait(false) is { } batch)
                {
                    using (batch)
                    {
                        writer.WriteBufferedRecordBatch(Visible(batch, schema));
                        rows += batch.Length;
                    }
                    file.Check();
                }
                writer.Close();
            }
            await file.SendAsync(output, cancel).ConfigureAwait(false);
        }
        return new(rows, null);
    }

    /// <summary>By way of a file of our own, too: a zip is written synchronously, and what no cell holds must be known before the answer begins.</summary>
    private static async Task<QueryWritten> XlsxAsync(QueryReader reader, Stream output, CancellationToken cancel)
    {
        long rows = 0;
        var file = reader.OpenSpool();
        await using (file.ConfigureAwait(false))
        {
            using (var writer = new XlsxWriter(file, [.. reader.Query.Columns.Select(c => c.Name)]))
            {
                while (await reader.NextAsync().ConfigureAwait(false) is { } batch)
                {
                    using (batch)
                    {
                        var cells = Cells(batch, reader.Query.Columns.Count);
                        for (var row = 0; row < batch.Length; row++)
                            writer.Row(cells, row);
                        rows += batch.Length;
                    }
                    file.Check();
                    cancel.ThrowIfCancellationRequested();
                }
                writer.Finish();
            }
            await file.SendAsync(output, cancel).ConfigureAwait(false);
        }
        return new(rows, null);
    }

    /// <summary>The answer's own names, and moments marked as UTC.</summary>
    private static Schema Visible(QueryReader reader)
    {
        var builder = new Schema.Builder();
        for (var i = 0; i < reader.Query.Columns.Count; i++)
        {
            var column = reader.Query.Columns[i];
            var type = column.Type == FieldType.DateTime ? new TimestampType(TimeUnit.Microsecond, "UTC") : reader.Schema.GetFieldByIndex(i).DataType;
            builder.Field(new Apache.Arrow.Field(column.Name, type, nullable: true));
        }
        return builder.Build();
    }

    /// <summary>Shares the batch's memory, so it is the batch that is disposed.</summary>
    private static RecordBatch Visible(RecordBatch batch, Schema schema)
    {
        var arrays = new IArrowArray[schema.FieldsList.Count];
        for (var i = 0; i < arrays.Length; i++)
        {
            var (array, type) = (batch.Column(i), schema.GetFieldByIndex(i).DataType);
            arrays[i] = type is TimestampType
                ? new TimestampArray(new ArrayData(type, array.Data.Length, array.Data.NullCount, array.Data.Offset, array.Data.Buffers))
                : array;
        }
        return new RecordBatch(schema, arrays, batch.Length);
    }

    private static CellText[] Cells(RecordBatch batch, int count)
    {
        var cells = new CellText[count];
        for (var i = 0; i < count; i++)
            cells[i] = new CellText(batch.Column(i));
        return cells;
    }

    private static void Value(Utf8JsonWriter json, in CellText cell, int row)
    {
        if (cell.IsNull(row))
        {
            json.WriteNullValue();
            return;
        }
        if (cell.IsText)
        {
            json.WriteStringValue(cell.Text(row));
            return;
        }
        Span<byte> text = stackalloc byte[CellText.MaxLength];
        text = text[..cell.Format(row, text)];
        if (cell.IsNumber || cell.IsBoolean)
            json.WriteRawValue(text, skipInputValidation: true);
        else
            json.WriteStringValue(text);
    }

    private static string? Key(in CellText cell, int row)
    {
        if (cell.IsNull(row))
            return null;
        if (cell.IsText)
            return Encoding.UTF8.GetString(cell.Text(row));
        Span<byte> text = stackalloc byte[CellText.MaxLength];
        return Encoding.UTF8.GetString(text[..cell.Format(row, text)]);
    }

    private static async ValueTask FlushAsync(Utf8JsonWriter json, ArrayBufferWriter<byte> buffer, Stream output, int above, CancellationToken cancel)
    {
        if (json.BytesPending + buffer.WrittenCount < above)
            return;
        json.Flush();
        await output.WriteAsync(buffer.WrittenMemory, cancel).ConfigureAwait(false);
        buffer.ResetWrittenCount();
    }
}
