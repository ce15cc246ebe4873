using System.Globalization;
using System.Text;
using System.Text.Unicode;
using CudaSae.Lab.Insight.Probes;
using CsvHelper;

namespace CudaSae.Cli;

/// <summary>Reads labels from CSV in UTF-8. The first line names the questions; each further line answers them for one
/// row. Answers are texts, classes stand in the order in which they appear, and an empty field is unlabelled. A column
/// of whole numbers has its classes in ascending order, and −1 is also unlabelled there. A column of no and yes, false
/// and true, or 0 and 1 is binary.</summary>
static class CsvLabels
{
    const int MaxName = 200, MaxRecord = 1 << 20;

    static readonly string[][] NoAndYes = [["no", "yes"], ["false", "true"], ["0", "1"]];

    static readonly CsvReaderOptions Options = new()
    {
        Separator = ',', HasHeader = false, SkipEmptyLines = false, DetectSeparatorHint = false,
        MaxRecordSize = MaxRecord, MalformedData = CsvMalformedDataHandling.Throw,
        FieldCountMismatch = CsvFieldCountHandling.Allow,
    };

    /// <param name="rows">Rows of the activations.</param>
    /// <exception cref="SaeException">The file is damaged, has another number of rows, or holds a value that is not a
    /// label.</exception>
    public static Labels Read(string path, long rows)
    {
        try
        {
            using var stream = File.OpenRead(path);
            return Read(stream, path, rows);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e);
        }
    }

    internal static Labels Read(Stream stream, string path, long rows)
    {
        using var csv = CsvReader.Create(stream, Options, leaveOpen: true);
        try
        {
            if (!csv.Read()) throw Bad(path, "it is empty; the first line names the questions");
            var columns = Header(csv, path, rows, stream.Length);
            long row = 0;
            for (var classes = 0; csv.Read(); row++)
            {
                if (row == rows)
                    throw new SaeException($"{path} labels more than the {rows} rows of the data; the file must "
                        + "have one line for the names and one for each row");
                if (csv.FieldCount != columns.Length)
                    throw Bad(path, $"row {row} has {csv.FieldCount} answers to {columns.Length} questions");
                foreach (var (q, column) in columns.Index())
                    if (column.Add((int)row, csv.GetSpan(q)) is { } why)
                        throw Bad(path, $"row {row} answers {Shown(csv.GetSpan(q))} to {column.Name}: {why}");
                    else if (column.IsNew && ++classes > Labels.MaxProperties)
                        throw Bad(path, $"it has more than {Labels.MaxProperties} different answers");
            }
            if (row != rows)
                throw new SaeException($"{path} labels {row} rows, the data have {rows}; the file must have one line "
                    + "for the names and one for each row");
            return new([.. columns.Select(c => c.Finish())], [.. columns.Select(c => c.Answers)]);
        }
        catch (CsvFormatException e)
        {
            throw Bad(path, $"line {e.LineNumber} is not CSV: {e.Message.Split(". ")[0].TrimEnd('.')}");
        }
    }

    static Column[] Header(CsvReader csv, string path, long rows, long bytes)
    {
        var questions = csv.FieldCount;
        if (questions > Labels.MaxQuestions)
            throw Bad(path, $"it has {questions} questions; at most {Labels.MaxQuestions} are possible");
        if (rows is < 1 or > int.MaxValue || rows * questions > bytes)
            throw new SaeException($"{path} has {bytes} bytes, fewer than {rows} rows of {questions} answers need; "
                + "the file must have one line for the names and one for each row");
        var names = new string[questions];
        for (var q = 0; q < questions; q++)
        {
            var name = csv.GetSpan(q);
            if (name.Length is 0 or > MaxName || !Utf8.IsValid(name))
                throw Bad(path,
                    $"question {q} of its first line has no name, or one of more than {MaxName} bytes or not in UTF-8");
            names[q] = Encoding.UTF8.GetString(name);
        }
        if (names.GroupBy(n => n).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw Bad(path, $"two questions are named {twice.Key}");
        return [.. names.Select(name => new Column(name, (int)rows))];
    }

    static SaeException Bad(string path, string why) => new($"{path} is not a usable file of labels: {why}");

    static string Shown(ReadOnlySpan<byte> text) => $"'{Encoding.UTF8.GetString(text[..Math.Min(text.Length, 80)])}'";

    /// <summary>The answers to one question, in the order of the rows.</summary>
    sealed class Column(string name, int rows)
    {
        readonly List<byte[]> classes = [];

        public string Name => name;
        public short[] Answers { get; } = new short[rows];

        /// <summary>Whether the last answer was the first of its class.</summary>
        public bool IsNew { get; private set; }

        /// <returns>The error; null if there is none.</returns>
        public string? Add(int row, ReadOnlySpan<byte> answer)
        {
            var c = answer.IsEmpty ? Labels.Unlabelled : (short)0;
            for (; c >= 0 && c < classes.Count && !answer.SequenceEqual(classes[c]); c++) ;
            Answers[row] = c;
            if (IsNew = c == classes.Count)
            {
                if (c == Labels.MaxClasses)
                    return $"it is class number {c + 1}; at most {Labels.MaxClasses} are possible";
                if (answer.Length > MaxName || !Utf8.IsValid(answer))
                    return $"a class has at most {MaxName} bytes of UTF-8";
                if (Ascii.EqualsIgnoreCase(answer, "nan"u8))
                    return "nan is not a class; leave the field of an unlabelled row empty";
                classes.Add(answer.ToArray());
            }
            return null;
        }

        /// <summary>Returns the question with its classes in order.</summary>
        public Question Finish()
        {
            string[] names = [.. classes.Select(Encoding.UTF8.GetString)];
            if (NoAndYes.FirstOrDefault(pair => names.Length > 0
                && names.All(n => pair.Contains(n, StringComparer.OrdinalIgnoreCase))
                && names.Distinct(StringComparer.OrdinalIgnoreCase).Count() == names.Length) is { } pair)
            {
                Map([.. names.Select(n => (short)(n.Equals(pair[1], StringComparison.OrdinalIgnoreCase) ? 1 : 0))]);
                return new(name, pair) { Binary = true };
            }
            int[] numbers = [.. names.Select(n =>
                int.TryParse(n, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)
                && number >= -1
                ? number : -2)];
            if (numbers.Contains(-2) || numbers.Distinct().Count() < numbers.Length) return new(name, names);
            int[] kept = [.. numbers.Where(n => n >= 0).Order()];
            Map([.. numbers.Select(n => (short)Array.IndexOf(kept, n))]);
            return new(name, [.. kept.Select(n => $"{n}")]);
        }

        void Map(short[] to)
        {
            foreach (ref var answer in Answers.AsSpan())
                if (answer >= 0) answer = to[answer];
        }
    }
}
