using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using DuckDB.NET.Data;
using DuckDB.NET.Native;
using Gongzhi.Ledger;

namespace Gongzhi.Core.Query;

/// <summary>
/// Masks, pseudonyms and the order of a grant's own as functions inside DuckDB, a vector at a time. In SQL alone a mask cost more than reading its
/// column and a pseudonym more than all the rest (ADR 0015). They say the same as <see cref="Privacy"/>, and never fail on a value.
/// </summary>
internal static unsafe class TransformFunctions
{
    public const string MaskName = "gongzhi_mask_name", MaskPhone = "gongzhi_mask_phone", MaskIdentityNumber = "gongzhi_mask_identity_number", MaskCard = "gongzhi_mask_card",
        Pseudonym = "gongzhi_pseudonym", Order = "gongzhi_order";

    /// <summary>Bytes hashed together, so that a few long values do not make many buffers of their size.</summary>
    private const int HashedTogetherBytes = 256 << 10;

    private const ulong HighBits = 0x8080_8080_8080_8080;

    /// <summary>Makes the functions known to the database, on any connection of it.</summary>
    public static void Register(DuckDBConnection connection)
    {
        Register(connection, MaskName, &Names, DuckDBType.Varchar, DuckDBType.Varchar);
        Register(connection, MaskPhone, &Phones, DuckDBType.Varchar, DuckDBType.Varchar);
        Register(connection, MaskIdentityNumber, &IdentityNumbers, DuckDBType.Varchar, DuckDBType.Varchar);
        Register(connection, MaskCard, &Cards, DuckDBType.Varchar, DuckDBType.Varchar);
        Register(connection, Pseudonym, &Pseudonyms, DuckDBType.Varchar, DuckDBType.Blob, DuckDBType.Varchar);
        Register(connection, Order, &Orders, DuckDBType.HugeInt, DuckDBType.Blob, DuckDBType.Blob, DuckDBType.Integer);
    }

    private static void Register(DuckDBConnection connection, string name, delegate* unmanaged[Cdecl]<nint, nint, nint, void> callback, DuckDBType result, params ReadOnlySpan<DuckDBType> parameters)
    {
        var function = NativeMethods.ScalarFunction.DuckDBCreateScalarFunction();
        try
        {
            NativeMethods.ScalarFunction.DuckDBScalarFunctionSetName(function, name);
            foreach (var parameter in parameters)
            {
                using var type = NativeMethods.LogicalType.DuckDBCreateLogicalType(parameter);
                NativeMethods.ScalarFunction.DuckDBScalarFunctionAddParameter(function, type);
            }
            using var returned = NativeMethods.LogicalType.DuckDBCreateLogicalType(result);
            NativeMethods.ScalarFunction.DuckDBScalarFunctionSetReturnType(function, returned);
            NativeMethods.ScalarFunction.DuckDBScalarFunctionSetFunction(function, callback);
            if (NativeMethods.ScalarFunction.DuckDBRegisterScalarFunction(connection.NativeConnection, function) != DuckDBState.Success)
                throw new InvalidOperationException($"DuckDB does not take the function {name}.");
        }
        finally
        {
            NativeMethods.ScalarFunction.DuckDBDestroyScalarFunction(ref function);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Names(nint info, nint chunk, nint output)
    {
        var texts = Input(chunk, 0);
        var results = new DuckVector(output);
        var rows = Rows(chunk);
        Span<byte> shown = stackalloc byte[DuckText.InPlaceMax];
        for (var row = 0; row < rows; row++)
        {
            if (!texts.Has(row))
            {
                results.Clear(row);
                continue;
            }
            var text = DuckText.Bytes(texts.Texts + row);
            var first = First(text, 1);
            if (text.Length == first)
            {
                DuckText.Put(results.Texts + row, "***"u8);
                continue;
            }
            text[..first].CopyTo(shown);
            "**"u8.CopyTo(shown[first..]);
            DuckText.Put(results.Texts + row, shown[..(first + 2)]);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Phones(nint info, nint chunk, nint output) => Ends(chunk, output, 11, 3, "****"u8, 4);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void IdentityNumbers(nint info, nint chunk, nint output) => Ends(chunk, output, 15, 6, "***********"u8, 1);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Cards(nint info, nint chunk, nint output) => Ends(chunk, output, 12, 0, "****"u8, 4);

    /// <summary>Both ends of texts of at least <paramref name="least"/> characters, with a filler of one length between; others are hidden whole.</summary>
    private static void Ends(nint chunk, nint output, int least, int first, ReadOnlySpan<byte> filler, int last)
    {
        var texts = Input(chunk, 0);
        var results = new DuckVector(output);
        var rows = Rows(chunk);
        Span<byte> shown = stackalloc byte[((first + last) * 4) + filler.Length];
        for (var row = 0; row < rows; row++)
        {
            if (!texts.Has(row))
            {
                results.Clear(row);
                continue;
            }
            var text = DuckText.Bytes(texts.Texts + row);
            if (text.Length < least || Characters(text) < least)
            {
                DuckText.Put(results.Texts + row, "***"u8);
                continue;
            }
            var head = text[..First(text, first)];
            var tail = text[Last(text, last)..];
            head.CopyTo(shown);
            filler.CopyTo(shown[head.Length..]);
            tail.CopyTo(shown[(head.Length + filler.Length)..]);
            results.Set(row, shown[..(head.Length + filler.Length + tail.Length)]);
        }
    }

    /// <summary>The first half, in hexadecimal digits, of SHA-256 over key and text.</summary>
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Pseudonyms(nint info, nint chunk, nint output)
    {
        try
        {
            Hash(chunk, new DuckVector(output), new PseudonymOf(Input(chunk, 0).Texts, Input(chunk, 1).Texts), Input(chunk, 0), Input(chunk, 1));
        }
        catch (OutOfMemoryException)
        {
            NativeMethods.ScalarFunction.DuckDBScalarFunctionSetError(info, "Out of Memory Error: no memory for pseudonyms");
        }
    }

    /// <summary>A number of 128 bits for each record, by SHA-256 over key, batch and ordinal.</summary>
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Orders(nint info, nint chunk, nint output)
    {
        try
        {
            Hash(chunk, new DuckVector(output), new OrderOf(Input(chunk, 0).Texts, Input(chunk, 1).Texts, Input(chunk, 2).Integers), Input(chunk, 0), Input(chunk, 1));
        }
        catch (OutOfMemoryException)
        {
            NativeMethods.ScalarFunction.DuckDBScalarFunctionSetError(info, "Out of Memory Error: no memory for an order");
        }
    }

    private interface IHashed
    {
        int Length(int row);
        void Write(int row, Span<byte> to);
        void Take(int row, ReadOnlySpan<byte> digest, DuckVector results);
    }

    private readonly struct PseudonymOf(DuckText* keys, DuckText* texts) : IHashed
    {
        public int Length(int row) => DuckText.Bytes(keys + row).Length + DuckText.Bytes(texts + row).Length;

        public void Write(int row, Span<byte> to)
        {
            var key = DuckText.Bytes(keys + row);
            key.CopyTo(to);
            DuckText.Bytes(texts + row).CopyTo(to[key.Length..]);
        }

        public void Take(int row, ReadOnlySpan<byte> digest, DuckVector results)
        {
            Span<byte> digits = stackalloc byte[Transforms.PseudonymDigits];
            Convert.TryToHexStringLower(digest[..(Transforms.PseudonymDigits / 2)], digits, out _);
            results.Set(row, digits);
        }
    }

    private readonly struct OrderOf(DuckText* keys, DuckText* batches, int* ordinals) : IHashed
    {
        public int Length(int row) => DuckText.Bytes(keys + row).Length + DuckText.Bytes(batches + row).Length + sizeof(int);

        public void Write(int row, Span<byte> to)
        {
            var key = DuckText.Bytes(keys + row);
            var batch = DuckText.Bytes(batches + row);
            key.CopyTo(to);
            batch.CopyTo(to[key.Length..]);
            BinaryPrimitives.WriteInt32BigEndian(to[(key.Length + batch.Length)..], ordinals[row]);
        }

        public void Take(int row, ReadOnlySpan<byte> digest, DuckVector results) => results.Wide[row] = BinaryPrimitives.ReadInt128BigEndian(digest);
    }

    private static void Hash<T>(nint chunk, DuckVector results, T hashed, DuckVector first, DuckVector second)
        where T : struct, IHashed
    {
        var rows = Rows(chunk);
        var places = ArrayPool<int>.Shared.Rent(rows * 3);
        var digests = ArrayPool<byte>.Shared.Rent(rows * Sha256Batch.DigestBytes);
        byte[]? buffer = null;
        try
        {
            var which = places.AsSpan(0, rows);
            var starts = places.AsSpan(rows, rows);
            var lengths = places.AsSpan(rows * 2, rows);
            for (var row = 0; row < rows;)
            {
                var (count, bytes) = (0, 0);
                for (; row < rows; row++)
                {
                    if (!first.Has(row) || !second.Has(row))
                    {
                        results.Clear(row);
                        continue;
                    }
                    var length = hashed.Length(row);
                    if (count > 0 && bytes + length > HashedTogetherBytes)
                        break;
                    (which[count], starts[count], lengths[count]) = (row, bytes, length);
                    bytes += length;
                    count++;
                }
                if (buffer is null || buffer.Length < bytes)
                {
                    if (buffer is not null)
                        ArrayPool<byte>.Shared.Return(buffer);
                    buffer = null;
                    buffer = ArrayPool<byte>.Shared.Rent(bytes);
                }
                for (var i = 0; i < count; i++)
                    hashed.Write(which[i], buffer.AsSpan(starts[i], lengths[i]));
                Sha256Batch.HashMany(buffer.AsSpan(0, bytes), starts[..count], lengths[..count], digests);
                for (var i = 0; i < count; i++)
                    hashed.Take(which[i], digests.AsSpan(i * Sha256Batch.DigestBytes, Sha256Batch.DigestBytes), results);
            }
        }
        finally
        {
            ArrayPool<int>.Shared.Return(places);
            ArrayPool<byte>.Shared.Return(digests);
            if (buffer is not null)
                ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static DuckVector Input(nint chunk, int column) => new(NativeMethods.DataChunks.DuckDBDataChunkGetVector(Borrowed(chunk), column));

    private static int Rows(nint chunk) => (int)NativeMethods.DataChunks.DuckDBDataChunkGetSize(Borrowed(chunk));

    /// <summary>DuckDB's own chunk, which it destroys itself.</summary>
    private static DuckDBDataChunk Borrowed(nint chunk) => new(chunk);

    /// <summary>Characters of valid UTF-8: its bytes without those that continue one.</summary>
    private static int Characters(ReadOnlySpan<byte> utf8)
    {
        var (count, at) = (utf8.Length, 0);
        for (; at + sizeof(ulong) <= utf8.Length; at += sizeof(ulong))
        {
            var word = MemoryMarshal.Read<ulong>(utf8[at..]);
            count -= BitOperations.PopCount(word & ~(word << 1) & HighBits);
        }
        for (; at < utf8.Length; at++)
            count -= Continues(utf8[at]) ? 1 : 0;
        return count;
    }

    /// <summary>Bytes of the first characters; of all if there are fewer.</summary>
    private static int First(ReadOnlySpan<byte> utf8, int characters)
    {
        var at = 0;
        for (; characters > 0 && at < utf8.Length; characters--)
        {
            for (at++; at < utf8.Length && Continues(utf8[at]);)
                at++;
        }
        return at;
    }

    /// <summary>Where the last characters begin.</summary>
    private static int Last(ReadOnlySpan<byte> utf8, int characters)
    {
        var at = utf8.Length;
        for (; characters > 0 && at > 0; characters--)
        {
            for (at--; at > 0 && Continues(utf8[at]);)
                at--;
        }
        return at;
    }

    private static bool Continues(byte value) => (value & 0xC0) == 0x80;
}
