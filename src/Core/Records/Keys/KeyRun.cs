using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using System.Security.Cryptography;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Records.Keys;

/// <summary>One hash and the record that has the key.</summary>
internal readonly record struct KeyEntry(UInt128 Hash, Guid Batch, uint Ordinal);

/// <summary>
/// An immutable file of hashes in ascending order with the record of each, mapped into memory. Hashes are uniform, so a lookup guesses the place
/// and is there in a step or two. Derived data: it can be made again from the records.
/// </summary>
/// <remarks>
/// Little-endian: 8 bytes "gzkeys" and the format version, count n, count of batches m, 8 bytes of zero; n high halves of the hashes; n low halves;
/// n positions (batch number × 2^32 + ordinal); m batch ids of 16 bytes. The name is the SHA-256 of all that.
/// </remarks>
internal sealed unsafe class KeyRun : IDisposable
{
    public const ushort FormatVersion = 1;
    public const string Extension = ".keys";
    private const int HeadBytes = 32;

    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _start;
    private int _users = 1;
    private bool _delete;

    private KeyRun(string path, long number, long sequence, MemoryMappedFile file)
    {
        (Path, Number, Sequence, _file) = (path, number, sequence, file);
        _view = file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _start);
        Count = checked((int)BinaryPrimitives.ReadInt64LittleEndian(new ReadOnlySpan<byte>(_start + 8, 8)));
        BatchCount = checked((int)BinaryPrimitives.ReadInt64LittleEndian(new ReadOnlySpan<byte>(_start + 16, 8)));
    }

    public string Path { get; }
    public long Number { get; }

    /// <summary>Which commit listed it.</summary>
    public long Sequence { get; }
    public int Count { get; }
    private int BatchCount { get; }

    private ReadOnlySpan<ulong> High => new(_start + HeadBytes, Count);
    private ReadOnlySpan<ulong> Low => new(_start + HeadBytes + 8L * Count, Count);
    private ReadOnlySpan<ulong> Positions => new(_start + HeadBytes + 16L * Count, Count);

    /// <summary>Opens a run; null when the file is missing, of another format version, or not as long as it says.</summary>
    public static KeyRun? Open(string path, long number, long sequence)
    {
        if (!File.Exists(path))
            return null;
        using (var handle = File.OpenHandle(path))
        {
            Span<byte> head = stackalloc byte[HeadBytes];
            if (RandomAccess.Read(handle, head, 0) != HeadBytes || !head[..6].SequenceEqual("gzkeys"u8) || BinaryPrimitives.ReadUInt16LittleEndian(head[6..]) != FormatVersion)
                return null;
            var (count, batches) = (BinaryPrimitives.ReadInt64LittleEndian(head[8..]), BinaryPrimitives.ReadInt64LittleEndian(head[16..]));
            if (count is < 1 or > int.MaxValue || batches is < 1 or > int.MaxValue || RandomAccess.GetLength(handle) != HeadBytes + 24 * count + 16 * batches)
                return null;
        }
        return new KeyRun(path, number, sequence, MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read));
    }

    /// <summary>Whether the content is what the file is named by.</summary>
    public static bool Sound(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, 1 << 20, FileOptions.SequentialScan);
        return Convert.ToHexStringLower(SHA256.HashData(stream)) == System.IO.Path.GetFileNameWithoutExtension(path);
    }

    /// <summary>The first place whose hash is not below, or <see cref="Count"/>.</summary>
    public int Find(UInt128 hash)
    {
        var (high, low) = ((ulong)(hash >> 64), (ulong)hash);
        var keys = High;
        // Guess by proportion, then widen in doubling steps: the error grows with the root of the count only.
        var guess = (int)Math.BigMul(high, (ulong)Count, out _);
        var (from, to, step) = (guess, guess, 16);
        while (from > 0 && keys[from] >= high)
        {
            from = Math.Max(0, from - step);
            step *= 2;
        }
        step = 16;
        while (to < Count && keys[to] < high)
        {
            to = Math.Min(Count, to + step);
            step *= 2;
        }
        while (from < to)
        {
            var middle = from + (to - from) / 2;
            if (keys[middle] < high)
                from = middle + 1;
            else
                to = middle;
        }
        while (from < Count && keys[from] == high && Low[from] < low)
            from++;
        return from;
    }

    public bool Has(int at, UInt128 hash) => at < Count && High[at] == (ulong)(hash >> 64) && Low[at] == (ulong)hash;

    public KeyEntry this[int at]
    {
        get
        {
            var position = Positions[at];
            return new KeyEntry(new UInt128(High[at], Low[at]), BatchAt((int)(position >> 32)), (uint)position);
        }
    }

    public IEnumerable<Guid> Batches => Enumerable.Range(0, BatchCount).Select(BatchAt);

    /// <summary>Keeps the file from going away; false when it is gone.</summary>
    public bool TryUse()
    {
        while (Volatile.Read(ref _users) is > 0 and var users)
        {
            if (Interlocked.CompareExchange(ref _users, users + 1, users) == users)
                return true;
        }
        return false;
    }

    /// <summary>Ends a use; the last one closes the file and, when it was retired, deletes it.</summary>
    public void Dispose()
    {
        if (Interlocked.Decrement(ref _users) > 0)
            return;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
        if (_delete)
            File.Delete(Path);
    }

    /// <summary>No list names it any more: deleted once nobody reads it.</summary>
    public void Retire()
    {
        _delete = true;
        Dispose();
    }

    /// <summary>Writes a run durably under its final name and answers its path. Entries come in ascending order of hash.</summary>
    public static string Write(World world, long count, IReadOnlyList<Guid> batches, IEnumerable<(UInt128 Hash, ulong Position)> entries)
    {
        var temporary = System.IO.Path.Combine(world.KeyRunDirectory, System.IO.Path.GetRandomFileName() + ".tmp");
        var length = HeadBytes + 24 * count + 16L * batches.Count;
        try
        {
            using (var file = MemoryMappedFile.CreateFromFile(temporary, FileMode.CreateNew, null, length, MemoryMappedFileAccess.ReadWrite))
            using (var view = file.CreateViewAccessor(0, length))
            {
                byte* to = null;
                view.SafeMemoryMappedViewHandle.AcquirePointer(ref to);
                try
                {
                    Fill(to, count, batches, entries);
                }
                finally
                {
                    view.SafeMemoryMappedViewHandle.ReleasePointer();
                }
            }
            string name;
            using (var stream = new FileStream(temporary, FileMode.Open, FileAccess.ReadWrite, FileShare.Read, 1 << 20))
            {
                name = Convert.ToHexStringLower(SHA256.HashData(stream));
                world.Durably("flush key run", () => stream.Flush(flushToDisk: true));
            }
            var path = System.IO.Path.Combine(world.KeyRunDirectory, name + Extension);
            try
            {
                DurableFile.Publish(world, temporary, path);
            }
            catch
            {
                // Not listed by anyone yet: a name without its flushed directory is no promise.
                File.Delete(path);
                throw;
            }
            return path;
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    private Guid BatchAt(int number) => RecordId.FromBytes(new ReadOnlySpan<byte>(_start + HeadBytes + 24L * Count + 16L * number, 16));

    private static void Fill(byte* to, long count, IReadOnlyList<Guid> batches, IEnumerable<(UInt128 Hash, ulong Position)> entries)
    {
        "gzkeys"u8.CopyTo(new Span<byte>(to, 6));
        *(ushort*)(to + 6) = FormatVersion;
        *(long*)(to + 8) = count;
        *(long*)(to + 16) = batches.Count;
        var high = (ulong*)(to + HeadBytes);
        var low = high + count;
        var position = low + count;
        long n = 0;
        foreach (var (hash, at) in entries)
        {
            if (n == count)
                throw new InvalidOperationException("More entries than announced.");
            high[n] = (ulong)(hash >> 64);
            low[n] = (ulong)hash;
            position[n++] = at;
        }
        if (n != count)
            throw new InvalidOperationException("Fewer entries than announced.");
        for (var b = 0; b < batches.Count; b++)
            batches[b].TryWriteBytes(new Span<byte>(to + HeadBytes + 24 * count + 16L * b, 16), bigEndian: true, out _);
    }
}
