using System.Data.Common;
using System.Text.RegularExpressions;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;

namespace Gongzhi.Core.Audit;

/// <summary>
/// Refuses bulk statements and raw SQL that name an audited table before they reach the database, with a sentence that says what to do
/// instead. The triggers of <see cref="AuditSchema"/> are the wall behind it: they also stop what does not come through EF Core. Tables that
/// are not audited, such as those of library stores, are left alone.
/// </summary>
public sealed class BypassGuard : DbCommandInterceptor
{
    public override InterceptionResult<int> NonQueryExecuting(DbCommand command, CommandEventData eventData, InterceptionResult<int> result)
    {
        Refuse(command, eventData);
        return result;
    }

    public override ValueTask<InterceptionResult<int>> NonQueryExecutingAsync(DbCommand command, CommandEventData eventData, InterceptionResult<int> result, CancellationToken cancellationToken = default)
    {
        Refuse(command, eventData);
        return ValueTask.FromResult(result);
    }

    private static void Refuse(DbCommand command, CommandEventData data)
    {
        if (data.CommandSource is not (CommandSource.ExecuteUpdate or CommandSource.ExecuteDelete or CommandSource.ExecuteSqlRaw) || data.Context is null)
            return;
        foreach (var entity in data.Context.Model.GetEntityTypes())
        {
            if (AuditModel.Audited(entity) && entity.GetTableName() is { } table
                && Regex.IsMatch(command.CommandText, $@"(?<![\w]){Regex.Escape(table)}(?![\w])", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant))
            {
                throw new AuditBypassException($"{data.CommandSource} on the audited table {table} would leave no entry; change tracked entities and save them.");
            }
        }
    }
}
