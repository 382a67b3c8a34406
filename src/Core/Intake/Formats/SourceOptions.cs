namespace Gongzhi.Core.Intake.Formats;

/// <summary>How a file is to be read. The defaults are those of a whole-or-nothing intake.</summary>
public sealed record SourceOptions
{
    /// <summary>The plain defaults.</summary>
    public static SourceOptions Default { get; } = new();

    /// <summary>
    /// False: the first unreadable row throws <see cref="SourceFormatException"/>. True: it becomes a <see cref="RowFault"/>
    /// and reading goes on (an intake in <c>partial</c> mode). Faults that lose the place in the file are always thrown.
    /// </summary>
    public bool CollectFaults { get; init; }

    /// <summary>The worksheet to read by name; null for the first.</summary>
    public string? Sheet { get; init; }

    /// <summary>Bytes a gzip body may expand to.</summary>
    public long ExpandedBytesMax { get; init; } = 16L << 30;

    /// <summary>Bytes of a Parquet body, which must be spooled to disk before it can be read.</summary>
    public long ParquetBytesMax { get; init; } = 4L << 30;

    /// <summary>Bytes that spooling leaves free on its disk.</summary>
    public long FreeBytesMin { get; init; }

    /// <summary>Where a workbook waits for its turn; null where only one caller reads any.</summary>
    public WorkbookTurns? Workbooks { get; init; }

    /// <summary>Bytes of a workbook body, spooled likewise.</summary>
    public long WorkbookBytesMax { get; init; } = 256L << 20;
}
