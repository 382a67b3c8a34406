using System.Collections.Concurrent;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>
/// The chunks of one source. A chunk keeps its text buffer and index arrays while it is idle, so a long file allocates
/// only what is in flight at once. Released from any thread; rented by the source alone.
/// </summary>
internal sealed class ChunkPool(int columns, bool kinds)
{
    private readonly ConcurrentQueue<CellChunk> _idle = new();
    private volatile bool _closed;

    public CellChunk Rent(int textBytes)
    {
        if (!_idle.TryDequeue(out var chunk))
        {
            chunk = new CellChunk(columns, FormatLimits.RowsPerChunk(columns));
            if (kinds) chunk.Kinds = new CellKind[chunk.Starts.Length];
        }
        chunk.Rows = 0;
        chunk.TextLength = 0;
        chunk.Faults = null;
        chunk.Pending = null;
        if (chunk.Text.Length < textBytes) chunk.Text = GC.AllocateUninitializedArray<byte>(textBytes);
        chunk.OnRelease(Release);
        return chunk;
    }

    /// <summary>After this, chunks still out are simply collected.</summary>
    public void Close()
    {
        _closed = true;
        _idle.Clear();
    }

    private void Release(CellChunk chunk)
    {
        if (!_closed && _idle.Count < FormatLimits.ChunksPooled) _idle.Enqueue(chunk);
    }
}
