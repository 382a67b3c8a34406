namespace Gongzhi.Core.Intake.Formats;

/// <summary>What a cell was in the source, before any schema has been applied.</summary>
public enum CellKind : byte
{
    /// <summary>Absent: JSON <c>null</c> or no such key, an empty workbook cell. Never used by CSV, which has only text.</summary>
    Missing = 0,

    /// <summary>Text as it came.</summary>
    Text = 1,

    /// <summary>A number in the source's own type system, as its shortest exact decimal text (<c>-12.5</c>, <c>1E+17</c>).</summary>
    Number = 2,

    /// <summary>A boolean in the source's own type system: <c>true</c> or <c>false</c>.</summary>
    Boolean = 3,

    /// <summary>A date or date-time that the source typed as such: ISO 8601 text, with an offset only if the source knew one.</summary>
    Temporal = 4,

    /// <summary>The source is sure that this cell cannot be read exactly (Excel's 1.1E+17 for an identity number). The bytes say what was seen.</summary>
    Inexact = 5,
}

/// <summary>
/// A run of rows as UTF-8 slices, the one shape in which every format reaches the checks. Owned by whoever received it;
/// returned to the source's pool by <see cref="Dispose"/>. Cells are row-major: cell (r, c) is at index r * Columns + c.
/// </summary>
/// <param name="columns">At least 1.</param>
/// <param name="rowCapacity">The most rows it is filled with.</param>
/// <param name="rowsAtFirst">Rows it has room for from the start; who fills it makes room for more. All of them when 0.</param>
public sealed class CellChunk(int columns, int rowCapacity, int rowsAtFirst = 0) : IDisposable
{
    // Set by the pooling source before the chunk is handed out; taken exactly once by Dispose, so disposing twice is harmless.
    private Action<CellChunk>? _release;

    /// <summary>The number of columns, equal to the source's header length.</summary>
    public int Columns { get; } = columns;

    /// <summary>The number of rows present.</summary>
    public int Rows { get; set; }

    /// <summary>The 1-based number of the first row, counting data rows only (a CSV header is not a row).</summary>
    public long FirstRow { get; set; }

    /// <summary>All the text, valid UTF-8 with quotes already undone.</summary>
    public byte[] Text { get; set; } = [];

    /// <summary>Bytes of <see cref="Text"/> in use.</summary>
    public int TextLength { get; set; }

    /// <summary>Start of each cell in <see cref="Text"/>; length at least Rows * Columns.</summary>
    public int[] Starts { get; set; } = new int[columns * (rowsAtFirst > 0 ? rowsAtFirst : rowCapacity)];

    /// <summary>Length in bytes of each cell.</summary>
    public int[] Lengths { get; set; } = new int[columns * (rowsAtFirst > 0 ? rowsAtFirst : rowCapacity)];

    /// <summary>Kind of each cell; null when every cell is <see cref="CellKind.Text"/> (CSV).</summary>
    public CellKind[]? Kinds { get; set; }

    /// <summary>
    /// Rows that could not be read, in row order and at most one per row; null when there are none. Their cells are all
    /// empty and <see cref="CellKind.Missing"/>. Filled only when <see cref="SourceOptions.CollectFaults"/> is on.
    /// </summary>
    public List<RowFault>? Faults { get; set; }

    /// <summary>
    /// Work the source left for whoever reads the chunk, so that chunks are worked on by several threads while the source goes on; null when
    /// there is none. Until it is done, only <see cref="FirstRow"/> and <see cref="Rows"/> mean anything.
    /// </summary>
    public Action<CellChunk>? Pending { get; set; }

    /// <summary>Does the pending work. Call it once, before looking at cells or faults.</summary>
    /// <exception cref="SourceFormatException">A row cannot be read, and faults are not collected.</exception>
    public void Complete()
    {
        var work = Pending;
        Pending = null;
        work?.Invoke(this);
    }

    /// <summary>The most rows this chunk can hold.</summary>
    public int RowCapacity { get; } = rowCapacity;

    /// <summary>Room for so many rows; cells of rows not yet written are missing. Doubles, so that filling costs the same a row.</summary>
    internal void Grow(int rows)
    {
        if (rows * (long)Columns <= Starts.Length)
            return;
        var cells = (int)Math.Min((long)RowCapacity * Columns, Math.Max(Starts.Length * 2L, rows * (long)Columns));
        var (starts, lengths, kinds) = (Starts, Lengths, Kinds);
        Array.Resize(ref starts, cells);
        Array.Resize(ref lengths, cells);
        if (kinds is not null)
            Array.Resize(ref kinds, cells);
        (Starts, Lengths, Kinds) = (starts, lengths, kinds);
    }

    /// <summary>The bytes of one cell.</summary>
    public ReadOnlySpan<byte> Cell(int row, int column)
    {
        var i = row * Columns + column;
        return Text.AsSpan(Starts[i], Lengths[i]);
    }

    /// <summary>The kind of one cell.</summary>
    public CellKind Kind(int row, int column) => Kinds is null ? CellKind.Text : Kinds[row * Columns + column];

    /// <summary>Called once by the source that pools its chunks.</summary>
    public void OnRelease(Action<CellChunk> release) => _release = release;

    public void Dispose() => Interlocked.Exchange(ref _release, null)?.Invoke(this);
}

/// <summary>A row that the source could not read although it still knows where the next one begins.</summary>
/// <param name="Row">0-based index within the chunk: add <see cref="CellChunk.FirstRow"/> for the row's number in the file.</param>
/// <param name="Code">A stable problem code such as <c>format.csv.columns</c>.</param>
/// <param name="Why">What is wrong.</param>
public readonly record struct RowFault(int Row, string Code, Sentence Why);

/// <summary>
/// A file being read as chunks of cells. Streams; never holds the whole file. A malformed source throws
/// <see cref="FormatException"/> subclasses only (<see cref="SourceFormatException"/>), which the intake turns into a problem.
/// </summary>
public interface ICellSource : IAsyncDisposable
{
    /// <summary>Column names in file order, as found, BOM and surrounding white space removed. For NDJSON: the keys asked for.</summary>
    IReadOnlyList<string> Header { get; }

    /// <summary>The next chunk, or null at the end. The caller disposes it.</summary>
    ValueTask<CellChunk?> ReadAsync(CancellationToken cancel);
}

/// <summary>The source is not what it claims to be, or breaks a limit. Nothing of it is kept.</summary>
/// <param name="code">A stable problem code such as <c>format.csv.quote</c>.</param>
/// <param name="message">One plain sentence.</param>
/// <param name="row">The 1-based data row where it happened, if known.</param>
public sealed class SourceFormatException(string code, string message, long? row = null) : FormatException(message)
{
    public SourceFormatException(string code, Sentence why, long? row = null) : this(code, why.English, row) => Why = why;

    public string Code { get; } = code;
    public long? Row { get; } = row;

    /// <summary>The message in both languages, where it is known in both.</summary>
    public Sentence? Why { get; }

    /// <summary>What the contributor is told.</summary>
    public Problem ToProblem() => Problem.Invalid(Code, Row is { } row ? $"{Message} (row {row})" : Message) with
    {
        Chinese = Row is { } at && Why is { } both ? $"{both.Chinese}（第 {at} 行）" : Why?.Chinese,
        Extensions = Row is null ? new Dictionary<string, object?>() : new Dictionary<string, object?> { ["row"] = Row },
    };
}
