namespace Gongzhi.Core.Intake.Formats;

/// <summary>What a file may at most contain. Constants, because a file refused by one node must be refused by all.</summary>
public static class FormatLimits
{
    /// <summary>Bytes of UTF-8 in one cell. The longest free text seen in civic data (a petition with its attachments' text) is under 200 KiB.</summary>
    public const int CellBytesMax = 1 << 20;

    /// <summary>Bytes in one row as it stands in the file. Bounds the buffer a hostile file without newlines can make us hold.</summary>
    public const int RowBytesMax = 8 << 20;

    /// <summary>Columns in a header. Wider than any schema allowed here, and below SQLite's own 2,000.</summary>
    public const int ColumnsMax = 2_000;

    /// <summary>Bytes in one header name; names longer than this are data that lost its header.</summary>
    public const int NameBytesMax = 1_024;

    /// <summary>Rows in a chunk: enough to amortise a call per chunk, small enough that a chunk of numbers stays near the L2 cache.</summary>
    public const int ChunkRows = 16_384;

    /// <summary>Cells in a chunk, so that wide tables get shorter chunks (8 bytes of index per cell: 8 MiB).</summary>
    public const int ChunkCells = 1 << 20;

    /// <summary>Bytes of text after which a chunk is handed over even if it could hold more rows.</summary>
    public const int ChunkBytes = 4 << 20;

    /// <summary>Chunks a source keeps for reuse: one being filled, one being checked, and two in between.</summary>
    public const int ChunksPooled = 4;

    /// <summary>Rows on an Excel sheet, the format's own limit.</summary>
    public const int SheetRowsMax = 1_048_576;

    /// <summary>Bytes all members of an .xlsx may expand to together.</summary>
    public const long WorkbookExpandedBytesMax = 512L << 20;

    /// <summary>Bytes one member that is not a worksheet may expand to: shared strings, styles and the like are held in memory whole, and take several times as much there.</summary>
    public const long WorkbookPartBytesMax = 64L << 20;

    /// <summary>Workbooks read at a time; each may take some hundred MiB.</summary>
    public const int WorkbooksAtOnce = 2;

    /// <summary>Members in an .xlsx archive.</summary>
    public const int WorkbookEntriesMax = 10_000;

    /// <summary>Expanded bytes per compressed byte, for .xlsx members together and for gzip. Repetitive CSV reaches about 100.</summary>
    public const int ExpansionRatioMax = 200;

    /// <summary>Expanded bytes before the gzip ratio is looked at: tiny files of one repeated row are honest.</summary>
    public const int ExpansionGraceBytes = 1 << 20;

    /// <summary>
    /// Expanded bytes per byte of a Parquet file, a byte a cell and the text of all cells. Columns of equal or counted-up values take almost no
    /// room there, so this is wider than that of gzip.
    /// </summary>
    public const int ParquetExpansionRatioMax = 1_000;

    /// <summary>Expanded bytes before the Parquet ratio is looked at.</summary>
    public const long ParquetGraceBytes = 64L << 20;

    /// <summary>Bytes a column of one row group may say it has before compression: what the reader may have to hold of it at once.</summary>
    public const long ParquetColumnBytesMax = 1L << 30;

    /// <summary>Bytes of a text stream looked at to tell its encoding.</summary>
    public const int EncodingHeadBytes = 1 << 20;

    /// <summary>The rows a chunk of this many columns can hold.</summary>
    public static int RowsPerChunk(int columns) => Math.Clamp(ChunkCells / Math.Max(1, columns), 1, ChunkRows);
}
