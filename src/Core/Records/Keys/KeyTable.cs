using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Gongzhi.Core.Records.Keys;

/// <summary>
/// The keys of one contribution so far: finds a key that came before, and gives them all in order at the end. Open addressing over entry numbers, so that
/// growing it reads memory in order; each with a part of its hash, so that a key that is not there touches no entry but a slot. One thread.
/// </summary>
internal sealed class KeyTable
{
    private readonly List<Entry[]> _blocks = [];

    /// <summary>Upper half: a part of the key's hash; lower: the number of its entry, from 1.</summary>
    private ulong[] _slots = new ulong[1 << 12];
    private int _count;

    private const int BlockBits = 16, BlockSize = 1 << BlockBits;

    private readonly record struct Entry(UInt128 Hash, uint Ordinal, uint Row);

    public int Count => _count;

    /// <summary>Adds a key that is not there yet.</summary>
    public void Add(UInt128 hash, uint ordinal, long row)
    {
        if (_count * 2L >= _slots.Length)
            Grow();
        var mask = (uint)_slots.Length - 1;
        var slot = (uint)(ulong)hash & mask;
        while (_slots[slot] is not 0)
            slot = (slot + 1) & mask;
        if (_count >> BlockBits == _blocks.Count)
            _blocks.Add(new Entry[BlockSize]);
        _blocks[_count >> BlockBits][_count & (BlockSize - 1)] = new Entry(hash, ordinal, (uint)Math.Min(row, uint.MaxValue));
        _slots[slot] = Tag(hash) | (uint)++_count;
    }

    /// <summary>Asks the processor for the slot where a key that comes soon will be looked for.</summary>
    public unsafe void Prefetch(UInt128 hash)
    {
        // Where a collection moves the array meanwhile, the wrong line is fetched and nothing else happens.
        if (Sse.IsSupported)
            Sse.Prefetch0(Unsafe.AsPointer(ref _slots[(uint)(ulong)hash & ((uint)_slots.Length - 1)]));
    }

    /// <summary>The row of the file that has the key, or 0.</summary>
    public long Find(UInt128 hash)
    {
        var mask = (uint)_slots.Length - 1;
        for (var slot = (uint)(ulong)hash & mask; _slots[slot] is not 0 and var found; slot = (slot + 1) & mask)
        {
            if ((found & TagBits) == Tag(hash) && At((uint)found - 1).Hash == hash)
                return At((uint)found - 1).Row;
        }
        return 0;
    }

    /// <summary>
    /// All keys in ascending order. Hashes are uniform, so one pass that deals them out by their leading bits leaves next to nothing to sort.
    /// </summary>
    public (UInt128 Hash, uint Ordinal)[] Sorted()
    {
        var bits = Math.Max(1, BitOperations.Log2((uint)Math.Max(2, _count)));
        var starts = new int[(1 << bits) + 1];
        for (var i = 0; i < _count; i++)
            starts[(int)(ulong)(At((uint)i).Hash >> (128 - bits)) + 1]++;
        for (var i = 1; i < starts.Length; i++)
            starts[i] += starts[i - 1];
        var sorted = new (UInt128 Hash, uint Ordinal)[_count];
        for (var i = 0; i < _count; i++)
        {
            ref readonly var entry = ref At((uint)i);
            sorted[starts[(int)(ulong)(entry.Hash >> (128 - bits))]++] = (entry.Hash, entry.Ordinal);
        }
        for (var i = 1; i < _count; i++)
        {
            var one = sorted[i];
            var at = i - 1;
            for (; at >= 0 && sorted[at].Hash > one.Hash; at--)
                sorted[at + 1] = sorted[at];
            sorted[at + 1] = one;
        }
        return sorted;
    }

    public void Clear()
    {
        _blocks.Clear();
        _slots = new ulong[1 << 12];
        _count = 0;
    }

    private const ulong TagBits = 0xFFFF_FFFF_0000_0000;

    private static ulong Tag(UInt128 hash) => (ulong)hash & TagBits;

    private ref readonly Entry At(uint number) => ref _blocks[(int)(number >> BlockBits)][number & (BlockSize - 1)];

    private void Grow()
    {
        var larger = new ulong[_slots.Length * 4];
        var mask = (uint)larger.Length - 1;
        for (var i = 0u; i < _count; i++)
        {
            var hash = At(i).Hash;
            var slot = (uint)(ulong)hash & mask;
            while (larger[slot] is not 0)
                slot = (slot + 1) & mask;
            larger[slot] = Tag(hash) | (i + 1);
        }
        _slots = larger;
    }
}
