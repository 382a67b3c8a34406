using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Gongzhi.Core.Catalog;

namespace Gongzhi.Core.Records;

/// <summary>
/// Makes the canonical bytes of rows (docs/contracts/canonical.md). One instance per batch: what is the same in every
/// row is encoded once. Safe for use by several threads.
/// </summary>
public sealed class RowEncoder
{
    public const int FormatVersion = 1;

    private readonly byte[] _prefix;
    private readonly byte[] _subjectSalt;

    /// <param name="subjectSalt">16 bytes, random per batch.</param>
    public RowEncoder(Dataset dataset, Guid batch, byte[] subjectSalt)
    {
        _subjectSalt = subjectSalt;
        var id = Encoding.UTF8.GetBytes(dataset.Id);
        var buffer = new byte[64 + id.Length];
        var n = Cbor.WriteArrayHead(buffer, 10 + dataset.Fields.Count);
        n += Cbor.WriteText(buffer.AsSpan(n), "gongzhi/row"u8);
        n += Cbor.WriteInt(buffer.AsSpan(n), FormatVersion);
        n += Cbor.WriteText(buffer.AsSpan(n), id);
        n += Cbor.WriteInt(buffer.AsSpan(n), dataset.Version);
        n += Cbor.WriteBytesHead(buffer.AsSpan(n), 16);
        RecordId.Bytes(batch).AsSpan(0, 12).CopyTo(buffer.AsSpan(n));
        _prefix = buffer[..(n + 12)];
    }

    /// <summary>An upper bound of the bytes one row's fixed part needs, with its leaf prefix and salt.</summary>
    private int FixedMax(RowColumns rows) => 1 + _prefix.Length + 4 + 9 + 9 + 40 + 34 + 17 + 9 * rows.Fields.Length + 9 + RowColumns.SaltSize;

    /// <summary>
    /// Encodes all rows into one buffer, each as the leaf's preimage: 0x00, the row, its salt. The row proper is
    /// <c>[start + 1, start + length − salt)</c>.
    /// </summary>
    public EncodedRows Encode(RowColumns rows, EncodedRows? reuse = null) => Encode(rows, 0, rows.Rows, reuse);

    /// <summary>The same for <paramref name="count"/> rows from <paramref name="first"/> on: those of one batch among rows of several.</summary>
    public EncodedRows Encode(RowColumns rows, int first, int count, EncodedRows? reuse = null)
    {
        var result = reuse ?? new EncodedRows();
        result.Reset(count);
        var fixedMax = FixedMax(rows);
        var at = 0;
        for (var i = 0; i < count; i++)
        {
            var r = first + i;
            var need = fixedMax;
            foreach (var column in rows.Fields)
            {
                if (column.Field.Storage == FieldStorage.Text && !column.Nulls[r])
                    need += column.Lengths[r];
            }
            if (rows.PlaceIndex >= 0 && !rows.Fields[rows.PlaceIndex].Nulls[r])
                need += rows.Fields[rows.PlaceIndex].Lengths[r];
            result.Ensure(at, need);
            var length = EncodeRow(rows, r, result.Bytes.AsSpan(at));
            result.Starts[i] = at;
            result.Lengths[i] = length;
            at += length;
        }
        result.Length = at;
        return result;
    }

    /// <summary>The preimage of one row's leaf: 0x00, the row, its salt.</summary>
    public byte[] EncodeOne(RowColumns rows, int r)
    {
        var need = FixedMax(rows) + rows.Fields.Where(f => f.Field.Storage == FieldStorage.Text && !f.Nulls[r]).Sum(f => f.Lengths[r]);
        if (rows.PlaceIndex >= 0 && !rows.Fields[rows.PlaceIndex].Nulls[r])
            need += rows.Fields[rows.PlaceIndex].Lengths[r];
        var buffer = new byte[need];
        return buffer[..EncodeRow(rows, r, buffer)];
    }

    private int EncodeRow(RowColumns rows, int r, Span<byte> to)
    {
        var ordinal = rows.OrdinalOf(r);
        to[0] = 0;
        _prefix.CopyTo(to[1..]);
        var n = 1 + _prefix.Length;
        BinaryPrimitives.WriteUInt32BigEndian(to[n..], ordinal + 1);
        n += 4;
        n += Cbor.WriteInt(to[n..], ordinal);
        n += Cbor.WriteInt(to[n..], rows.Times[r]);
        n += WriteText(rows, rows.PlaceIndex, r, to[n..]);
        n += WriteSubject(rows, r, to[n..]);
        if (rows.Supersedes?[r] is { } superseded)
        {
            n += Cbor.WriteBytes(to[n..], RecordId.Bytes(superseded));
        }
        else
        {
            to[n++] = Cbor.Null;
        }
        foreach (var column in rows.Fields)
        {
            if (column.Nulls[r])
            {
                to[n++] = Cbor.Null;
                continue;
            }
            switch (column.Field.Storage)
            {
                case FieldStorage.Text:
                    n += Cbor.WriteText(to[n..], rows.TextOf(column, r));
                    break;
                case FieldStorage.Double:
                    n += Cbor.WriteDouble(to[n..], column.Double(r));
                    break;
                case FieldStorage.Boolean:
                    to[n++] = column.Values[r] != 0 ? Cbor.True : Cbor.False;
                    break;
                default:
                    n += Cbor.WriteInt(to[n..], column.Values[r]);
                    break;
            }
        }
        var salt = rows.Salt(r);
        salt.CopyTo(to[n..]);
        return n + salt.Length;
    }

    private static int WriteText(RowColumns rows, int index, int r, Span<byte> to)
    {
        if (index < 0 || rows.Fields[index].Nulls[r])
        {
            to[0] = Cbor.Null;
            return 1;
        }
        return Cbor.WriteText(to, rows.TextOf(rows.Fields[index], r));
    }

    private int WriteSubject(RowColumns rows, int r, Span<byte> to)
    {
        if (rows.SubjectIndex < 0 || rows.Fields[rows.SubjectIndex].Nulls[r])
        {
            to[0] = Cbor.Null;
            return 1;
        }
        return Cbor.WriteBytes(to, SubjectCommitment(_subjectSalt, rows.TextOf(rows.Fields[rows.SubjectIndex], r)));
    }

    /// <summary>The commitment that stands for a subject in a row; see docs/contracts/canonical.md.</summary>
    public static byte[] SubjectCommitment(ReadOnlySpan<byte> subjectSalt, ReadOnlySpan<byte> subject)
    {
        var tag = "gongzhi/subject/1\0"u8;
        var buffer = new byte[tag.Length + subjectSalt.Length + subject.Length];
        tag.CopyTo(buffer);
        subjectSalt.CopyTo(buffer.AsSpan(tag.Length));
        subject.CopyTo(buffer.AsSpan(tag.Length + subjectSalt.Length));
        return SHA256.HashData(buffer);
    }
}

/// <summary>The leaf preimages of a run of rows in one buffer. Reused from chunk to chunk by its owner.</summary>
public sealed class EncodedRows
{
    public byte[] Bytes { get; private set; } = [];
    public int[] Starts { get; private set; } = [];
    public int[] Lengths { get; private set; } = [];
    public int Length { get; set; }
    public int Rows { get; private set; }

    /// <summary>The canonical row alone.</summary>
    public ReadOnlySpan<byte> Row(int r, int saltLength) => Bytes.AsSpan(Starts[r] + 1, Lengths[r] - 1 - saltLength);

    internal void Reset(int rows)
    {
        Rows = rows;
        Length = 0;
        if (Starts.Length < rows)
        {
            Starts = new int[rows];
            Lengths = new int[rows];
        }
    }

    internal void Ensure(int used, int need)
    {
        if (Bytes.Length - used >= need)
            return;
        var larger = new byte[Math.Max(Bytes.Length * 2L, used + (long)need) is var size and < int.MaxValue ? (int)size : Array.MaxLength];
        Bytes.AsSpan(0, used).CopyTo(larger);
        Bytes = larger;
    }
}
