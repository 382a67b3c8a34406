using System.Runtime.InteropServices;

namespace Gongzhi.Core.Query;

/// <summary>
/// A text or blob as DuckDB's vectors hold it: its length, then up to twelve bytes in place, or four of them and a pointer to all. What is left of
/// the twelve is zero, since DuckDB compares whole words. (<c>duckdb_string_t</c> of DuckDB's C interface.)
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal readonly unsafe struct DuckText
{
    /// <summary>The longest that lies in place.</summary>
    public const int InPlaceMax = 12;

    [FieldOffset(0)]
    private readonly uint _length;

    [FieldOffset(8)]
    private readonly byte* _elsewhere;

    /// <summary>Valid as long as the vector is.</summary>
    public static ReadOnlySpan<byte> Bytes(DuckText* text) =>
        new(text->_length <= InPlaceMax ? (byte*)text + sizeof(uint) : text->_elsewhere, checked((int)text->_length));

    /// <param name="to">Overwritten.</param>
    /// <param name="bytes">At most <see cref="InPlaceMax"/>.</param>
    public static void Put(DuckText* to, ReadOnlySpan<byte> bytes)
    {
        *to = default;
        *(uint*)to = (uint)bytes.Length;
        bytes.CopyTo(new Span<byte>((byte*)to + sizeof(uint), InPlaceMax));
    }
}

/// <summary>A flat vector that a function is given or writes; without a validity mask every value is there.</summary>
internal readonly unsafe ref struct DuckVector
{
    private readonly nint _vector;
    private readonly ulong* _there;

    public DuckVector(nint vector)
    {
        _vector = vector;
        _there = DuckDB.NET.Native.NativeMethods.Vectors.DuckDBVectorGetValidity(vector);
        Texts = (DuckText*)DuckDB.NET.Native.NativeMethods.Vectors.DuckDBVectorGetData(vector);
    }

    public DuckText* Texts { get; }

    public int* Integers => (int*)Texts;

    public Int128* Wide => (Int128*)Texts;

    public bool Has(int row) => _there is null || (_there[row >> 6] & (1UL << (row & 63))) != 0;

    /// <summary>Marks a row of an output as having no value.</summary>
    public void Clear(int row)
    {
        DuckDB.NET.Native.NativeMethods.Vectors.DuckDBVectorEnsureValidityWritable(_vector);
        DuckDB.NET.Native.NativeMethods.Vectors.DuckDBVectorGetValidity(_vector)[row >> 6] &= ~(1UL << (row & 63));
    }

    /// <summary>Writes valid UTF-8 into a row of an output.</summary>
    public void Set(int row, ReadOnlySpan<byte> utf8)
    {
        if (utf8.Length <= DuckText.InPlaceMax)
        {
            DuckText.Put(Texts + row, utf8);
            return;
        }
        fixed (byte* bytes = utf8)
            DuckDB.NET.Native.NativeMethods.Vectors.DuckDBUnsafeVectorAssignStringElementLength(_vector, (ulong)row, bytes, utf8.Length);
    }
}
