using Gongzhi.Core.Catalog;

namespace Gongzhi.Core.Records;

/// <summary>
/// One field's values for a run of rows, typed. Text values are slices of a shared UTF-8 buffer; everything else is a 64-bit
/// integer (booleans as 0 and 1, doubles by their bits). Owned by the <see cref="RowColumns"/> it belongs to.
/// </summary>
public sealed class FieldColumn(Field field, int capacity)
{
    public Field Field { get; } = field;

    /// <summary>True where the value is absent.</summary>
    public bool[] Nulls { get; } = new bool[capacity];

    /// <summary>Integer forms; unused for text.</summary>
    public long[] Values { get; } = field.Storage == FieldStorage.Text ? [] : new long[capacity];

    /// <summary>Start and length in <see cref="RowColumns.Text"/>; unused otherwise.</summary>
    public int[] Starts { get; } = field.Storage == FieldStorage.Text ? new int[capacity] : [];
    public int[] Lengths { get; } = field.Storage == FieldStorage.Text ? new int[capacity] : [];

    public double Double(int row) => BitConverter.Int64BitsToDouble(Values[row]);
}

/// <summary>A run of checked rows of one dataset: what the encoder hashes and the segment writer writes.</summary>
public sealed class RowColumns
{
    public RowColumns(Dataset dataset, int capacity)
    {
        Dataset = dataset;
        Capacity = capacity;
        Fields = [.. dataset.Fields.Select(f => new FieldColumn(f, capacity))];
        Times = new long[capacity];
        TimeIndex = dataset.TimeField is { } time ? dataset.IndexOf(time) : -1;
        PlaceIndex = dataset.PlaceField is { } place ? dataset.IndexOf(place) : -1;
        SubjectIndex = dataset.SubjectField is { } subject ? dataset.IndexOf(subject) : -1;
    }

    public Dataset Dataset { get; }
    public int Capacity { get; }
    public int Rows { get; set; }
    public FieldColumn[] Fields { get; }

    /// <summary>Event time of each row, microseconds UTC.</summary>
    public long[] Times { get; }

    /// <summary>Index of the field that gives time, place, subject; −1 for none.</summary>
    public int TimeIndex { get; }
    public int PlaceIndex { get; }
    public int SubjectIndex { get; }

    /// <summary>Ordinal of the first row in its batch.</summary>
    public long FirstOrdinal { get; set; }

    /// <summary>The bytes that text slices point into: the source chunk's own buffer, so that nothing is copied.</summary>
    public byte[] Text { get; set; } = [];

    /// <summary>16 random bytes a row, or empty when the dataset is not salted.</summary>
    public byte[] Salts { get; set; } = [];

    /// <summary>The batch all rows belong to, unless <see cref="Batches"/> says otherwise.</summary>
    public Guid Batch { get; set; }

    /// <summary>Batch and ordinal of each row when a fold gathers rows of many batches; null when they run on from <see cref="FirstOrdinal"/>.</summary>
    public Guid[]? Batches { get; set; }
    public uint[]? Ordinals { get; set; }

    public Guid BatchOf(int row) => Batches is null ? Batch : Batches[row];
    public uint OrdinalOf(int row) => Ordinals is null ? (uint)(FirstOrdinal + row) : Ordinals[row];

    /// <summary>The record id that row r supersedes, or null when none does in this run.</summary>
    public Guid?[]? Supersedes { get; set; }

    public ReadOnlySpan<byte> TextOf(FieldColumn column, int row) => Text.AsSpan(column.Starts[row], column.Lengths[row]);

    public ReadOnlySpan<byte> Salt(int row) => Salts.Length == 0 ? default : Salts.AsSpan(row * SaltSize, SaltSize);

    /// <summary>Closes the gaps that removed rows leave. Before rows are numbered and salted.</summary>
    public void RemoveWhere(ReadOnlySpan<bool> removed)
    {
        var to = 0;
        for (var r = 0; r < Rows; r++)
        {
            if (removed[r])
                continue;
            if (to != r)
            {
                Times[to] = Times[r];
                if (Supersedes is not null)
                    Supersedes[to] = Supersedes[r];
                foreach (var column in Fields)
                {
                    column.Nulls[to] = column.Nulls[r];
                    if (column.Values.Length > 0)
                        column.Values[to] = column.Values[r];
                    else
                        (column.Starts[to], column.Lengths[to]) = (column.Starts[r], column.Lengths[r]);
                }
            }
            to++;
        }
        Rows = to;
    }

    public const int SaltSize = 16;
}
