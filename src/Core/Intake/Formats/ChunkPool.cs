namespace Gongzhi.Core.Intake.Formats;

/// <summary>
/// The chunks of one source. A chunk keeps its text buffer and index arrays while it is idle, so a long file allocates
/// only what is in flight at once. Released from any thread; rented by the source alone.
/// </summary>
/// <param name="columns">Of each chunk.</param>
/// <param name="kinds">Whether the source knows more than text.</param>
/// <param name="rowsAtFirst">Room of a new chunk; 0 for all it may hold.</param>
internal sealed class ChunkPool(int columns, bool kinds, int rowsAtFirst = 0)
{
    // Few and short-lived; most sources never give one back before they end.
    private readonly List<CellChunk> _idle = [];
    private bool _closed;

    public CellChunk Rent(int textBytes)
    {
        if (Take() is not { } chunk)
        {
            chunk = new CellChunk(columns, FormatLimits.RowsPerChunk(columns), Math.Min(rowsAtFirst, FormatLimits.RowsPerChunk(columns)));
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
        lock (_idle)
        {
            _closed = true;
            _idle.Clear();
        }
    }

    private CellChunk? Take()
    {
        lock (_idle)
        {
            if (_idle.Count == 0) return null;
            var chunk = _idle[^1];
            _idle.RemoveAt(_idle.Count - 1);
            return chunk;
        }
    }

    private void Release(CellChunk chunk)
    {
        lock (_idle)
        {
            if (!_closed && _idle.Count < FormatLimits.ChunksPooled) _idle.Add(chunk);
        }
    }
}
