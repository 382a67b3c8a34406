using Gongzhi.Ledger;

namespace Gongzhi.Node.Backup;

/// <summary>A file of a backup that is missing or is not what was written.</summary>
/// <param name="Backup">Whose.</param>
/// <param name="File">Below the repository.</param>
internal sealed record BackupFault(string Backup, string File);

/// <summary>Reads every file of a repository, each once, and follows the copies of the log to their signatures; restores nothing.</summary>
internal static class BackupCheck
{
    public static async IAsyncEnumerable<BackupFault> FaultsAsync(BackupRepository repository, IReadOnlyList<string> backups, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancel)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var logs = new Dictionary<string, LogBreak?>(StringComparer.Ordinal);
        foreach (var backup in backups)
        {
            BackupManifest? manifest = null;
            try
            {
                manifest = BackupManifest.Read(repository.At(backup));
            }
            catch (InvalidDataException)
            {
                // Named below, and the others are read all the same.
            }
            if (manifest is null)
            {
                yield return new(backup, Path.GetRelativePath(repository.Root, Path.Combine(repository.At(backup), BackupManifest.Name)));
                continue;
            }
            foreach (var fault in await repository.FaultsAsync(backup, manifest with { Segments = [.. manifest.Segments.Where(seen.Add)] }, cancel).ConfigureAwait(false))
                yield return new(backup, fault);
            if (await LogFaultAsync(repository, manifest.Log, logs, cancel).ConfigureAwait(false) is { } broken)
                yield return new(backup, Path.Combine("ledger", manifest.Log.Directory, broken.File));
        }
    }

    /// <summary>Every entry is read once for each copy; that it had what each backup says follows from its tiles.</summary>
    private static async Task<LogBreak?> LogFaultAsync(BackupRepository repository, BackupLog log, Dictionary<string, LogBreak?> known, CancellationToken cancel)
    {
        if (!NoteVerifier.TryParse(log.Key, out var key) || BackupRepository.LogName(key) != log.Directory)
            return new(TilePath.Checkpoint, "belongs to another key than the manifest names.");
        var source = new DirectoryTileSource(repository.Ledger(log.Directory));
        if (!known.TryGetValue(log.Directory, out var broken))
            known[log.Directory] = broken = (await LogAuditor.AuditAsync(source, key, cancel: cancel).ConfigureAwait(false)).Break;
        if (broken is not null)
            return broken;
        try
        {
            var note = await source.ReadAsync(TilePath.Checkpoint, SignedNote.BytesMax, cancel).ConfigureAwait(false);
            if (note is null || !Checkpoint.TryOpen(note, key, out var head) || head.Size < log.Size)
                return new(TilePath.Checkpoint, "has fewer entries than the backup left.");
            return log.Size == 0 || Convert.ToBase64String(await LogMirror.RootAsync(source, head.Size, log.Size, cancel).ConfigureAwait(false)) == log.Root ? null
                : new(TilePath.Checkpoint, "does not continue what the backup left.");
        }
        catch (LedgerCorruptException e)
        {
            return new(e.File, e.Reason);
        }
    }
}
