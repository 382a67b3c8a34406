using Gongzhi.Core.Catalog;

namespace Gongzhi.Core.Records;

/// <summary>Canonical bytes back to columns: the tail's way into a segment or a query. Throws <see cref="InvalidDataException"/> when the bytes are not what was written.</summary>
public static class RowDecoder
{
    /// <summary>Decodes tail rows of one schema version.</summary>
    public static RowColumns Decode(Dataset dataset, IReadOnlyList<TailRow> tail)
    {
        var bytes = tail.Sum(t => t.Row.Length);
        var rows = new RowColumns(dataset, tail.Count)
        {
            Rows = tail.Count,
            Text = new byte[bytes],
            Batches = [.. tail.Select(t => t.Batch)],
            Ordinals = [.. tail.Select(t => t.Ordinal)],
            Salts = dataset.Salted ? new byte[tail.Count * RowColumns.SaltSize] : [],
        };
        var used = 0;
        for (var r = 0; r < tail.Count; r++)
        {
            DecodeRow(rows, r, tail[r], ref used);
            if (dataset.Salted)
                (tail[r].Salt ?? throw new InvalidDataException("A salted row has lost its salt.")).CopyTo(rows.Salts, r * RowColumns.SaltSize);
        }
        return rows;
    }

    /// <summary>The schema version that a canonical row was written under.</summary>
    public static int SchemaVersion(ReadOnlySpan<byte> row)
    {
        var reader = new Cbor.Reader(row);
        reader.ReadArrayHead();
        reader.ReadText();
        reader.ReadInt();
        reader.ReadText();
        return checked((int)reader.ReadInt());
    }

    /// <summary>The record that a canonical row supersedes; null when it names none, or is no canonical row.</summary>
    public static Guid? Supersedes(ReadOnlySpan<byte> row)
    {
        try
        {
            var reader = new Cbor.Reader(row);
            reader.ReadArrayHead();
            reader.ReadText();
            reader.ReadInt();
            reader.ReadText();
            reader.ReadInt();
            reader.ReadBytes();
            reader.ReadInt();
            reader.ReadInt();
            if (!reader.TryReadNull())
                reader.ReadText();
            if (!reader.TryReadNull())
                reader.ReadBytes();
            return reader.TryReadNull() || reader.ReadBytes() is not { Length: 16 } id ? null : RecordId.FromBytes(id);
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }

    private static void DecodeRow(RowColumns rows, int r, TailRow tail, ref int used)
    {
        var reader = new Cbor.Reader(tail.Row);
        var items = reader.ReadArrayHead();
        if (items != 10 + rows.Fields.Length || !reader.ReadText().SequenceEqual("gongzhi/row"u8) || reader.ReadInt() != RowEncoder.FormatVersion)
            throw new InvalidDataException("A row of the tail is not a canonical row of this dataset.");
        reader.ReadText();
        if (reader.ReadInt() != rows.Dataset.Version)
            throw new InvalidDataException("A row of the tail was written under another schema version.");
        if (RecordId.FromBytes(reader.ReadBytes()) != RecordId.Of(tail.Batch, tail.Ordinal) || reader.ReadInt() != tail.Ordinal)
            throw new InvalidDataException("A row of the tail does not stand where it says.");
        rows.Times[r] = reader.ReadInt();
        if (!reader.TryReadNull())
            reader.ReadText();
        if (!reader.TryReadNull())
            reader.ReadBytes();
        if (!reader.TryReadNull())
        {
            rows.Supersedes ??= new Guid?[rows.Rows];
            rows.Supersedes[r] = RecordId.FromBytes(reader.ReadBytes());
        }
        foreach (var column in rows.Fields)
        {
            if (reader.TryReadNull())
            {
                column.Nulls[r] = true;
                continue;
            }
            switch (column.Field.Storage)
            {
                case FieldStorage.Text:
                    var text = reader.ReadText();
                    text.CopyTo(rows.Text.AsSpan(used));
                    (column.Starts[r], column.Lengths[r]) = (used, text.Length);
                    used += text.Length;
                    break;
                case FieldStorage.Double:
                    column.Values[r] = BitConverter.DoubleToInt64Bits(reader.ReadDouble());
                    break;
                case FieldStorage.Boolean:
                    column.Values[r] = reader.ReadBoolean() ? 1 : 0;
                    break;
                default:
                    column.Values[r] = reader.ReadInt();
                    break;
            }
        }
        if (!reader.AtEnd)
            throw new InvalidDataException("A row of the tail has bytes behind its end.");
    }
}
